"""Every way into the tool from outside: cases that are true but for a change, and what must hold of what comes of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from unittest import mock

import click
import msgspec
from rich.console import Console

from cloudtrail_validate.aws import public_keys
from cloudtrail_validate.aws.errors import ANY_ERROR, by_code, from_botocore
from cloudtrail_validate.aws_lambda.deliveries import MOST_OBJECTS, Watched, read_event, sort_event
from cloudtrail_validate.cli import configuration, group
from cloudtrail_validate.core import copies, digest, layout, slips, trouble, witness
from cloudtrail_validate.core.activity import explaining_events
from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, RequestError, StoreError
from cloudtrail_validate.core.gzip import Content, Flaw, Inflater, digest_of, digest_of_pieces
from cloudtrail_validate.core.model import Interval, Locator, Status
from cloudtrail_validate.core.shards import MOST_SHARDS
from cloudtrail_validate.core.sidecar import read_sidecar
from cloudtrail_validate.core.signature import load_key, parse_signature
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.distribute import parts
from cloudtrail_validate.doctor.policy import document as policies
from cloudtrail_validate.evidence import events
from cloudtrail_validate.report import Report, formats
from cloudtrail_validate.report.build import build, this_tool
from cloudtrail_validate.report.compared import compare
from cloudtrail_validate.report.examination import ExaminationError, read_examination
from cloudtrail_validate.report.kept import KeptError, read
from cloudtrail_validate.report.merged import merge
from cloudtrail_validate.report.table import render as table
from cloudtrail_validate.search import expression
from cloudtrail_validate.snapshot import manifest
from cloudtrail_validate.state import codec as state
from cloudtrail_validate.state.model import fold
from cloudtrail_validate.state.model import merge as merge_states
from cloudtrail_validate.stores import s3_answers
from cloudtrail_validate.stores.key_file import read_key_file
from cloudtrail_validate.stores.s3_answers import Asked, NotS3Error, Page
from cloudtrail_validate.stores.transfer import Answer
from tests.aws_lambda import events as lambda_events
from tests.fuzz import evidence, material
from tests.fuzz.drive import Way
from tests.fuzz.mutate import ODD_TEXT, Mutator
from tests.snapshot.test_manifest import GOOD as MANIFEST
from tests.state.test_model import edge, stretch
from tests.state.test_model import state as a_state

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
_FOLDERS: Final = ("AWSLogs/", "AWSLogs/o-exampleorgid/", "logs//AWSLogs/")
_CODES: Final = (
    *("NoSuchKey", "NoSuchBucket", "AccessDenied", "SlowDown", "InternalError", "ExpiredToken", "PermanentRedirect"),
    *("RequestTimeTooSkewed", "InvalidObjectState", "KMS.DisabledException", "InvalidRequest", "SignatureDoesNotMatch"),
)
_STATUSES: Final = (100, 200, 204, 206, 301, 304, 307, 400, 403, 404, 405, 409, 412, 416, 429, 500, 503, 999)


# S3's answers.


def a_page(mutator: Mutator) -> tuple[bytes, Asked]:
    of = material.made()
    held = sorted(material.objects(of).items())
    prefix = mutator.one("", "AWSLogs/", held[-1][0][:40])
    listed = [item for item in held if item[0].startswith(prefix)][:12]
    if mutator.maybe(0.3):
        body = material.page_xml(of.spec.bucket, "AWSLogs/", [], tuple(f"AWSLogs/{n}/" for n in ("1", "2", "3")))
        return mutator.xml(body), Asked(of.spec.bucket, "AWSLogs/", delimited=True)
    return mutator.xml(material.page_xml(of.spec.bucket, prefix, listed)), Asked(of.spec.bucket, prefix)


def read_page(case: tuple[bytes, Asked]) -> Page:
    """Read a page, quickly and as XML throughout: to the same end."""
    with mock.patch.object(s3_answers, "_row", return_value=None):
        try:
            slowly: Page | str = s3_answers.parse_page(*case)
        except NotS3Error as error:
            slowly = str(error)
    try:
        page = s3_answers.parse_page(*case)
    except NotS3Error:
        assert isinstance(slowly, str)  # refused either way
        raise
    assert page == slowly
    return page


def check_page(case: tuple[bytes, Asked], page: Page | None) -> None:
    """What is taken for a listing is one of the bucket and prefix, in order, and says the number of its keys."""
    body, asked = case
    if page is None:
        return
    names = [info.key for info in page.objects]
    assert names == sorted(set(names))
    assert all(name.startswith(asked.prefix) for name in (*names, *page.folders))
    assert all(info.size >= 0 and info.modified.tzinfo is not None for info in page.objects)
    assert b"ListBucketResult" in body
    assert b"<!DOCTYPE" not in body


def an_answer(mutator: Mutator) -> Answer:
    code = mutator.of(_CODES)
    body = mutator.xml(material.refusal_xml(code, mutator.one("Access Denied", "server side encryption", "x\n\x1b")))
    lines = [
        b"content-type: application/xml",
        b"x-amz-bucket-region: eu-west-1",
        b'ETag: "abc"',
        b"Last-Modified: Wed, 12 Oct 2022 17:50:00 GMT",
        b"x-amz-meta-signature: abcdef",
        b"X-Amz-Meta-Signature-Algorithm: SHA256withRSA",
    ]
    for _ in range(mutator.chance.randrange(3)):
        at = mutator.chance.randrange(len(lines))
        lines[at] = mutator.data(lines[at])
    return Answer(mutator.of(_STATUSES), tuple(lines), body, len(body))


def look_at(answer: Answer) -> StoreError | AbsentError:
    s3_answers.metadata(answer)
    s3_answers.etag(answer)
    moment = s3_answers.modified(answer)
    assert moment is None or moment.tzinfo is not None
    return s3_answers.refusal(answer)


def check_refusal(answer: Answer, failure: StoreError | AbsentError) -> None:
    """Absence is said by S3's own code under 404 only; whatever it is is one line."""
    if isinstance(failure, AbsentError):
        assert answer.status == 404
        assert b"NoSuch" in answer.body
    else:
        assert "\n" not in failure.detail
        again = trouble.refused(failure, "cannot list", permission="s3:ListBucket")
        assert str(again) == printable(str(again))


# Objects.


def a_digest(mutator: Mutator) -> digest.Fetched:
    of = material.made()
    key, delivery = mutator.of(sorted(item for item in material.objects(of).items() if material.is_digest(item[0])))
    found = layout.folder_of(of.spec.bucket, key)
    assert found is not None
    name = layout.parse_digest_key(found[0], key)
    assert name is not None
    body, metadata = delivery.body, dict(delivery.metadata or {})
    match mutator.chance.randrange(4):
        case 0:
            body = mutator.data(body)
        case 1:
            metadata = mutator.names(metadata)
        case _:
            body = mutator.gzipped(mutator.json(material.content(delivery)))
    inflater = digest.inflater(len(body))
    inflater.feed(body)
    content = inflater.finish()
    where = Locator(of.spec.bucket, key)
    return digest.Fetched(where, name.chain, name.end, inflater.kept(), content.sha256, content.flaw, metadata)


def check_digest(case: digest.Fetched, result: Any) -> None:
    """Other content is proven by no signature of its own; what is found encodes."""
    evidence, references = result
    of = material.made()
    true = material.content(material.objects(of)[case.where.key])
    if case.content != true:
        assert evidence.own is not digest.SignatureStatus.VALID
        assert evidence.findings
    for finding in evidence.findings:
        assert finding.status in (Status.ALTERED, Status.UNVERIFIABLE)
    assert evidence.own is not digest.SignatureStatus.UNUSABLE or references == ()
    digest.claimed_place(case.content)
    digest.references_in(case.content)


def a_container(mutator: Mutator) -> tuple[bytes, list[int]]:
    content = mutator.one(b"", b'{"Records":[]}', b"x" * 3_000, bytes(200_000), mutator.chance.randbytes(500))
    body = mutator.gzipped(content)
    if mutator.maybe(0.5):
        body = mutator.data(body)
    return body, sorted(mutator.chance.randrange(len(body) + 1) for _ in range(mutator.chance.randrange(4)))


def inflate(case: tuple[bytes, list[int]]) -> Content:
    return digest_of(case[0])


def check_container(case: tuple[bytes, list[int]], content: Content) -> None:
    """Pieces or whole, the same; and what is called whole is what gunzip reads, which refuses what is not."""
    body, cuts = case
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    again = digest_of_pieces(pieces)
    assert again.flaw == content.flaw
    assert again == content or content.flaw in (Flaw.DAMAGED, Flaw.TRUNCATED)  # how far it got depends on the pieces
    inflater = Inflater(accept_plain=True, keep=True, limit=1_000)
    inflater.feed(body)
    inflater.finish()
    assert len(inflater.kept()) <= 1_000
    oracle = zlib.decompressobj(31)
    try:
        plain = oracle.decompress(body)
        whole = oracle.eof and not oracle.unused_data
    except zlib.error:
        plain, whole = b"", False
    assert whole == (content.flaw is None), (whole, content)
    if whole:
        assert content.sha256 == hashlib.sha256(plain).hexdigest()
        assert content.size == len(plain)


def a_log(mutator: Mutator) -> bytes:
    of = material.made()
    key = mutator.of(sorted(key for key in material.objects(of) if material.is_log(key)))
    value = json.loads(material.content(material.objects(of)[key]))
    for event in value["Records"]:
        if mutator.maybe(0.5):
            event.update(
                eventName="StopLogging", eventSource="cloudtrail.amazonaws.com", requestParameters={"key": "k"}
            )
    return mutator.json(json.dumps(value).encode())


def read_log(data: bytes) -> list[Any]:
    """As `explain` and as `diff` read it."""
    told = list(explaining_events(data, None, ""))
    assert all(activity.time.tzinfo is not None for activity in told)
    events.syntax(data)
    found: list[Any] = []
    try:
        spans = list(events.split(data))
    except events.NotALogError as error:
        assert "\n" not in str(error)  # noqa: PT017  # one line is what it promises
        return found
    for start, end in spans:
        try:
            found.append(events.parse(data[start:end]))
        except events.NotAnEventError:
            continue
    for one, other in pairwise(found):
        for difference in events.differences(one, other):
            for side in (difference.before, difference.after):
                events.as_text("" if side is events.ABSENT else side, 200).encode()
            events.clipped(difference.path, 200).encode()
    return found


def a_sidecar(mutator: Mutator) -> bytes:
    of = material.made()
    delivery = next(item for key, item in material.objects(of).items() if material.is_digest(key))
    return mutator.json(json.dumps(dict(delivery.metadata or {})).encode())


def check_sidecar(_: bytes, found: dict[str, str]) -> None:
    assert all(isinstance(part, str) for item in found.items() for part in item)
    for value in found.values():
        parse_signature(value)


# Keys.


def a_key_file(mutator: Mutator) -> bytes:
    data = mutator.json(material.key_file())
    if mutator.maybe(0.2):
        value = json.loads(material.key_file())
        der = mutator.data(base64.b64decode(value["PublicKeyList"][0]["Value"]))
        value["PublicKeyList"][0]["Value"] = base64.b64encode(der).decode()
        value["PublicKeyList"][0]["Fingerprint"] = hashlib.md5(der, usedforsecurity=False).hexdigest()
        data = json.dumps(value).encode()
    return data


def read_keys(data: bytes) -> Any:
    path = _scratch / "keys.json"
    path.write_bytes(data)
    return read_key_file(path).region(material.REGION)


def check_keys(_: bytes, keys: Any) -> None:
    """Every key that is taken hashes to its name, and its times can be reckoned with."""
    for name, key in keys.keys.items() if keys is not None else ():
        assert hashlib.md5(key.der, usedforsecurity=False).hexdigest() == name
        assert load_key(key.der) is not None
        assert key.not_before.tzinfo is not None
        keys.valid_at(NOW)


class _Client:
    """Answers ListPublicKeys with the pages it was given, again and again."""

    def __init__(self, pages: list[Any]) -> None:
        self.pages = pages
        self.asked = 0

    def list_public_keys(self, **_: Any) -> Any:
        self.asked += 1
        page = self.pages[(self.asked - 1) % len(self.pages)]
        if isinstance(page, Exception):
            raise page
        return page


def key_pages(mutator: Mutator) -> list[Any]:
    entries = [
        {
            "Fingerprint": key.fingerprint,
            "Value": key.der,
            "ValidityStartTime": key.not_before,
            "ValidityEndTime": key.not_after,
        }
        for key in material.keys_of(material.made()).keys.values()
    ]
    page: Any = {"PublicKeyList": entries, "ResponseMetadata": {"HTTPStatusCode": 200}}
    page = mutator.value(page)
    if mutator.maybe(0.3) and isinstance(page, dict):
        page["NextToken"] = mutator.one("a", "", None, 7, [], "a" * 5_000)
    return [page] * mutator.one(1, 2) + ([{"PublicKeyList": []}] if mutator.maybe(0.5) else [])


def list_keys(pages: list[Any]) -> Any:
    client = _Client(pages)
    try:
        found = public_keys.list_public_keys(client, material.REGION, NOW, NOW)
    except ANY_ERROR as error:
        failure = from_botocore(error)
        assert isinstance(failure, StoreError)  # no answer is never absence
        raise failure from error
    assert client.asked <= 3_000
    return [key for key in found if load_key(key.der) is not None]


# Files of ours that are read back.


def a_report(mutator: Mutator) -> bytes:
    return mutator.json(mutator.of(material.reports()))


def show(report: Report) -> None:
    """Show a report in every format. Hostile text stays text."""
    for name in formats.FORMATS:
        for document in formats.documents(name, report):
            document.encode()
    out = io.StringIO()
    table(report, Console(file=out, width=80, force_terminal=False, legacy_windows=False))
    assert not set("\x1b\x00\u202e") & set(out.getvalue())


def read_report(data: bytes) -> Any:
    kept = read(data, "1")
    true = read(material.reports()[0], "1")
    show(kept.report)
    show(merge([kept, true], this_tool()))
    compare(true, kept)
    compare(kept, true)
    return kept


def check_report(_: bytes, kept: Any) -> None:
    """The exit code is one of those that there are, and 1 only with evidence."""
    if kept is not None:
        report = kept.report
        assert report.exit_code in (0, 1, 3, 4, 130)
        evidence = any(finding.status in ("altered", "missing", "extra") for finding in report.findings)
        assert report.exit_code != 1 or evidence or report.findings_truncated


def an_examination(mutator: Mutator) -> bytes:
    result = {"check": "bucket-versioning", "status": "bad", "title": "t", "evidence": "e", "why": "w", "remedy": ["a"]}
    value = {
        "schema": "ctvalidate.doctor/1",
        "verdict": "bad",
        "run": {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z", "caller_arn": None},
        "results": [result, {**result, "status": "ok"}],
        "trail_arn": "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events",
        "bucket": "amzn-s3-demo-bucket",
    }
    return mutator.json(json.dumps(value).encode())


def examine(data: bytes) -> Any:
    found = read_examination(data)
    from cloudtrail_validate.report.html import render

    report = read(material.reports()[0], "1").report
    render(report, found).encode()
    return found


def a_part(mutator: Mutator) -> list[bytes]:
    held = [msgspec.json.encode(part) for part in material.parts()]
    at = mutator.chance.randrange(2)
    if mutator.maybe(0.1):
        return [mutator.data(parts.encode(material.parts()[0]))]
    body = mutator.json(held[at]).replace(b"\n", b" ")
    held[at] = body
    return [item + b"\n" + hashlib.sha256(item).hexdigest().encode() + b"\n" for item in held]


def merge_parts(held: list[bytes]) -> Any:
    outcome, first = parts.merge([(f"{number}", parts.decode(data, f"{number}")) for number, data in enumerate(held)])
    return build(outcome, first.request, first.run, first.tolerate)


def check_merged(_: list[bytes], report: Any) -> None:
    if report is not None:
        show(report)


def a_plan(mutator: Mutator) -> bytes:
    plan = asyncio.run(_discovered())
    lines = parts.plan_lines(plan, "s3://b/", Interval(NOW - timedelta(hours=3), NOW), 2).splitlines()
    at = mutator.chance.randrange(len(lines))
    lines[at] = mutator.json(lines[at])
    if mutator.maybe(0.2):
        lines.insert(mutator.chance.randrange(len(lines) + 1), mutator.of((b"", b"{}", lines[-1], b" ")))
    return b"\n".join(lines)


async def _discovered() -> Any:
    from cloudtrail_validate.engine.discover import discover
    from tests.engine.memory import MemoryStore, target_of

    of = material.made()
    return await discover(MemoryStore(of.buckets), target_of(of))


def check_plan(_: bytes, found: Any) -> None:
    """Every account-region has a shard that there is."""
    if found is not None:
        head, shards = found
        assert 1 <= head.shards <= MOST_SHARDS
        assert all(1 <= shard <= head.shards for shard in shards.values())


def a_state_file(mutator: Mutator) -> bytes:
    true = a_state(*(stretch(hour, mark=hour % 251) for hour in range(30)), edges=(edge(1),))
    (region,) = true.regions
    region = msgspec.structs.replace(region, unproven=((40, 44), (50, 51)), owed=(5, 6), late=((3, 1, 2),))
    true = msgspec.structs.replace(true, regions=(region,))
    assert state.decode(state.encode(true), "x") == true
    if mutator.maybe(0.2):
        return mutator.data(state.encode(true))
    tree = msgspec.to_builtins(true, builtin_types=(bytes,))
    change = mutator.one(mutator.value, mutator.like, mutator.like)
    for _ in range(mutator.one(1, 1, 2)):
        tree = _msgpackable(change(tree))
    content = msgspec.msgpack.encode(tree)
    if mutator.maybe(0.1):
        content = mutator.data(content)
    body = zlib.compress(content)
    if mutator.maybe(0.1):
        body = mutator.data(body)
    return f"{state.SCHEMA}\n{hashlib.sha256(body).hexdigest()}\nunsigned\n".encode() + body


def _msgpackable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_msgpackable(name): _msgpackable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_msgpackable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if not isinstance(value, int) or isinstance(value, bool) or -(2**63) <= value < 2**64 else str(value)


def use_state(data: bytes) -> Any:
    """Read it, and do with it what a run does."""
    held = state.decode(data, "x")
    for region in held.regions:
        for item in region.stretches:
            item.interval.overlaps(Interval(NOW, NOW))
        fold({item.start: item for item in region.stretches})
    again = merge_states(held, a_state(stretch(5)))
    assert state.decode(state.encode(again), "x") == again
    return held


def a_manifest(mutator: Mutator) -> bytes:
    value = {**MANIFEST, "keys": [{"region": "us-east-1", "issuer": True, "cause": None, "detail": None}]}
    value["left_out"] = [{"bucket": "b", "key": "k", "reason": "r", "cause": "archived", "size": 1, "modified": None}]
    value["files"] = [*MANIFEST["files"], {"path": "tree/AWSLogs/x.gz", "sha256": "0" * 64, "size": 7}]
    return mutator.json(json.dumps(value).encode())


def check_manifest(_: bytes, found: manifest.Manifest | None) -> None:
    """No path leads out of the snapshot, and the times can be reckoned with."""
    for file in found.files if found is not None else ():
        path = Path("/snapshot", file.path)
        assert ".." not in path.parts
        assert path.is_relative_to("/snapshot")
    if found is not None:
        manifest.encode(found)
        assert found.window.end - found.window.start > timedelta(0)


# Configuration and the command line.

_TOML: Final = b"""trail-arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"
last = "26h"
region = ["us-east-1", "eu-west-1"]
concurrency = 64
max-rate = 10.5
verbose = true
start-time = 2026-01-01T00:00:00Z
tolerate = ["gap-tail"]

[snapshot]
to = "snapshots/today"

["keys export"]
region = "us-east-1"
"""


def a_config(mutator: Mutator) -> bytes:
    if mutator.maybe(0.4):
        return mutator.data(_TOML)
    lines = _TOML.decode().splitlines()
    for _ in range(mutator.one(1, 2)):
        at = mutator.chance.randrange(len(lines))
        name, equals, value = lines[at].partition(" = ")
        match mutator.chance.randrange(4):
            case 0:
                name = mutator.text(name)
            case 1:
                value = mutator.one(
                    "7", "-1", "1e999", "nan", "[]", "{}", "[[]]", "{a = 1}", '"x"', "1979-05-27", "07:32:00"
                )
            case 2:
                value = json.dumps(mutator.of(ODD_TEXT))
            case _:
                lines.insert(at, lines[mutator.chance.randrange(len(lines))])
                continue
        lines[at] = f"{name}{equals}{value}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def load_config(data: bytes) -> Any:
    path = _scratch / "config.toml"
    path.write_bytes(data)
    context = click.Context(group, info_name="ctvalidate")
    command = group.get_command(context, "validate")
    assert command is not None
    below = click.Context(command, parent=context, info_name="validate")
    configuration.load(below, command.params[0], str(path))
    return below.default_map


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
    for hint in (slips.trail_hint, slips.region_hint, slips.bucket_hint, slips.role_hint):
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


def _cases() -> Iterator[Way]:
    yield Way("a page of a listing", 3000, a_page, read_page, (NotS3Error,), check_page)
    yield Way("S3's refusals and headers", 3000, an_answer, look_at, (), check_refusal)
    yield Way("digests", 4000, a_digest, lambda case: digest.observe(case, _keys()), (), check_digest)
    yield Way("gzip", 4000, a_container, inflate, (), check_container)
    yield Way("logs", 3000, a_log, read_log)
    yield Way("sidecars", 1600, a_sidecar, read_sidecar, (), check_sidecar)
    yield Way("key files", 1600, a_key_file, read_keys, (ConfigurationError,), check_keys)
    yield Way("ListPublicKeys", 1600, key_pages, list_keys, (StoreError,))
    yield Way("reports", 1000, a_report, read_report, (KeptError,), check_report)
    yield Way("examinations", 600, an_examination, examine, (ExaminationError,))
    yield Way("parts", 1200, a_part, merge_parts, (ConfigurationError,), check_merged)
    yield Way("plans", 1200, a_plan, lambda data: parts.read_plan(data, "x"), (ConfigurationError,), check_plan)
    yield Way("states", 2000, a_state_file, use_state, (ConfigurationError,))
    yield from evidence.cases()
    yield Way("manifests", 1600, a_manifest, manifest.decode, (manifest.NotASnapshotError,), check_manifest)
    yield Way("configuration", 1600, a_config, load_config, (click.UsageError,))
    yield Way("command line", 1600, a_text, read_text, (RequestError,))
    yield Way("events of AWS", 2400, an_event, take_event, (), check_event)
    yield Way("keys", 4000, a_key, read_key)
    yield Way("events of a witness", 1500, two_events, hold_against)
    yield Way("expressions", 1500, an_expression, try_expression, (RequestError,))
    yield Way("policies", 1600, a_policy, policies.parse)


def _keys() -> Any:
    return material.keys_of(material.made())


_scratch = Path(tempfile.gettempdir())
WAYS: Final = {way.name: way for way in _cases()}


def set_scratch(path: Path) -> None:
    """Where files of cases are written."""
    global _scratch  # noqa: PLW0603  # a case is bytes, and some readers take a path
    _scratch = path
