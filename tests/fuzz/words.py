"""Cases of what is said: on the command line, in events, names, policies and expressions."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloudtrail_validate.aws_lambda.deliveries import MOST_OBJECTS, Watched, read_event, sort_event
from cloudtrail_validate.core import copies, layout, slips, trouble, witness
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Interval, Locator
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.trouble import by_code
from cloudtrail_validate.evidence import events
from cloudtrail_validate.search import expression
from cloudtrail_validate.snapshot import manifest
from tests.aws_lambda import events as lambda_events
from tests.fuzz import material
from tests.fuzz.mutate import Mutator

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
_FOLDERS: Final = ("AWSLogs/", "AWSLogs/o-exampleorgid/", "logs//AWSLogs/")


# The command line.


def a_text(mutator: Mutator) -> str:
    true = mutator.one(
        "s3://amzn-s3-demo-bucket/logs/AWSLogs/111122223333/CloudTrail/us-east-1/",
        "arn:aws:s3:::amzn-s3-demo-bucket/logs/*",
        "arn:aws:s3:us-east-1:111122223333:accesspoint/my-point/object/AWSLogs/",
        "1111-2222-3333",
        "us-east-1a",
        "1d12h",
        "arn:aws:sts::111122223333:assumed-role/auditor/me",
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events",
    )
    return mutator.text(mutator.text(true))


def read_text(text: str) -> None:
    slips.place(text)
    slips.part(text)
    slips.account(text)
    slips.region(text)
    slips.several((text,))
    slips.span(text)
    slips.moment(text)
    hints = (slips.trail_hint, slips.region_hint, slips.bucket_hint, slips.role_hint, slips.account_hint)
    for hint in hints:
        assert isinstance(hint(text), str)
    layout.parse_trail_arn(text)
    copies.read_place(text)
    for code in ("", text[:40], "AccessDenied"):
        failure = by_code(code, text)
        if isinstance(failure, StoreError):
            trouble.refused(failure, "cannot list", permission="s3:ListBucket")
    assert printable(printable(text)) == printable(text)
    printable(text).encode()


# Events.


def an_event(mutator: Mutator) -> Any:
    key = mutator.of([key for key in material.objects(material.made()) if material.is_digest(key)])
    bucket = material.made().spec.bucket
    if mutator.maybe(0.3):
        key = mutator.key(key)
    inner = mutator.one(
        lambda_events.s3(bucket, key.encode("utf-8", "replace").decode()),
        lambda_events.eventbridge(bucket, key),
        lambda_events.s3_test(),
    )
    if mutator.maybe(0.6):
        inner = mutator.value(inner)
    for _ in range(mutator.chance.randrange(3)):
        text = json.dumps(inner)
        text = mutator.text(text) if mutator.maybe(0.15) else text
        inner = mutator.one(
            {"Records": [{"eventSource": "aws:sqs", "body": text}]},
            {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": text}}] * 3},
            {"Message": text, "TopicArn": "arn:aws:sns:us-east-1:111122223333:t"},
        )
        if mutator.maybe(0.2):
            inner = mutator.value(inner)
    return inner


def take_event(event: Any) -> Any:
    watched = Watched(material.made().spec.bucket)
    read_event(event)
    return sort_event(event, watched, NOW)


def check_event(_: Any, found: Any) -> None:
    """Nothing but hours of the trail's own folders, which are past."""
    assert len(found.tasks) <= MOST_OBJECTS
    for task in found.tasks:
        assert layout.ACCOUNT.fullmatch(task.account)
        assert layout.REGION.fullmatch(task.region)
        assert timedelta(0) < task.window.end - task.window.start
        assert task.window.end <= NOW + timedelta(minutes=15)


# Names.


def a_key(mutator: Mutator) -> tuple[str, str]:
    keys = sorted(material.objects(material.made()))
    return mutator.key(mutator.of(_FOLDERS) + mutator.of(keys).partition("AWSLogs/")[2]), mutator.of(keys)


def read_key(case: tuple[str, str]) -> None:
    key, other = case
    found = layout.folder_of("b", key)
    layout.region_in(key)
    minute = layout.log_minute(key)
    layout.is_log_key(key)
    day = layout.folder_day(key)
    if found is not None:
        folder, kind = found
        assert key.startswith(folder.path(kind))
        name = layout.parse_digest_key(folder, key)
        if name is not None:
            assert layout.folder_of("b", layout.next_digest_key(folder, name.chain, name.end)) is not None
            _ = name.end - timedelta(days=400)
        if minute is not None:
            layout.log_bound(folder, kind, minute)
        _ = folder.organization_id
    for moment in (minute, day.start if day else None, day.end if day else None):
        assert moment is None or moment + timedelta(days=36_500) > moment - timedelta(days=400)
    seen = copies.displacement(Locator("copy", key), Locator("b", other))
    if seen is not None:
        assert seen.original(key) == other
        assert seen.copied(other) == key
        copies.options_for(seen, None).encode("utf-8", "surrogatepass")
        copies.combined(seen, copies.Displacement("x", "", "b", "y/"))
        copies.trail_prefix(seen, None)
    path, reason = manifest.path_of(Locator("b", key), "b")
    assert bool(path) != bool(reason)
    assert ".." not in path.split("/")


def a_policy(mutator: Mutator) -> str:
    value = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AWSCloudTrailWrite",
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com", "AWS": ["arn:aws:iam::111122223333:root"]},
                "Action": ["s3:PutObject", "s3:Get*"],
                "Resource": "arn:aws:s3:::b/AWSLogs/*",
                "Condition": {"StringEquals": {"aws:SourceArn": "x", "s3:x-amz-acl": ["a", "b"]}, "Bool": {"x": True}},
            }
        ],
    }
    return mutator.json(json.dumps(value).encode()).decode("utf-8", "surrogateescape")


# An independent source's events, and expressions over events.


def two_events(mutator: Mutator) -> tuple[bytes, bytes]:
    data = material.content(
        next(item for key, item in material.objects(material.made()).items() if material.is_log(key))
    )
    event = json.dumps(json.loads(data)["Records"][0]).encode()
    return mutator.json(event), mutator.one(event, mutator.json(event))


def hold_against(case: tuple[bytes, bytes]) -> Any:
    """Read an event as a source tells it, and compare it with the one in a log."""
    told = witness.read_told(case[0], witness.Source.HISTORY, "111122223333", material.REGION)
    content = b'{"Records":[' + case[1] + b"]}"
    found = list(witness.events_in(content))
    if told is None:
        return None
    for _, raw in found:
        held = witness.Held(log=Locator("b", "k"), proven=True, raw=raw)
        differing = witness.differing(told, held, events.parse, events.differences)
        if differing:
            str(witness.differs(told, held, differing, events.shown).detail).encode("utf-8", "surrogatepass")
    coverage = witness.Coverage((Interval(NOW, NOW + timedelta(hours=5)),), ())
    coverage.due(told.time)
    for selection in (None, witness.Selection(reads=True, writes=True)):
        str(witness.absent(told, selection).detail).encode("utf-8", "surrogatepass")
    if told.time <= NOW:
        witness.slots([Interval(told.time, told.time + timedelta(hours=1))])
    return told


_EXPRESSIONS: Final = (
    "eventName == 'DeleteTrail' && errorCode == null",
    'contains(requestParameters.bucketName, `"x"`)',
    "length(resources[?type=='AWS::S3::Bucket'].ARN) > `1`",
    "join(',', keys(userIdentity))",
    "sort_by(resources, &ARN)[*].{a: ARN, b: type} | [0]",
    "map(&to_string(@), values(@))",
)


def an_expression(mutator: Mutator) -> tuple[str, Any]:
    data, _ = two_events(mutator)
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = {}
    return mutator.text(mutator.of(_EXPRESSIONS)), event


def try_expression(case: tuple[str, Any]) -> Any:
    compiled = expression.compile_expression(case[0])
    with contextlib.suppress(expression.TooLongError):
        return compiled.holds(case[1], len(json.dumps(case[1])))
    return False
