"""What all formats share: pure documents that no hostile string breaks, identities, times, addresses and words."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Interval, Status
from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.versions import Change, Changed, Changes, Counts, Event, Version, Versions
from cloudtrail_validate.report import FindingRecord, Report, Verdict, asff, jsonl, junit, ocsf, sarif
from cloudtrail_validate.report import csv as csv_format
from cloudtrail_validate.report.references import hours, identities, object_arn, object_uri
from cloudtrail_validate.report.wording import change_lines, explanations, sentence
from tests.report import samples
from tests.report.samples import BUCKET, HOSTILE_KEYS, at, chain, finding, log_key, report, single

ALL: dict[str, Callable[[Report], str]] = {
    "jsonl": jsonl.render,
    "csv": csv_format.render,
    "sarif": sarif.render,
    "junit": junit.render,
    "asff": asff.render,
    "ocsf": ocsf.render,
}

text = st.text(st.characters(), max_size=30) | st.sampled_from(HOSTILE_KEYS)


@pytest.mark.parametrize("name", ALL)
def test_a_format_is_pure_and_can_be_written_as_utf8(name: str, sample: Report) -> None:
    text = ALL[name](sample)
    assert text == ALL[name](sample)
    text.encode("utf-8")
    assert text.endswith("\n")


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25)
@given(key=text, place=text, value=text, bucket=text | st.none())
def test_no_string_from_a_bucket_breaks_a_document(
    name: str, key: str, place: str, value: str, bucket: str | None
) -> None:
    bad = replace(
        single().findings[0], key=key, account=place, region=place, trail=place, bucket=bucket, expected=value
    )
    whole = replace(single(), findings=(bad, replace(bad, actual=value)), chains=(chain(trail=value, region=place),))
    document = ALL[name](whole)
    document.encode("utf-8")
    match name:
        case "junit":
            assert isinstance(JUnitXml.fromstring(document.encode()), JUnitXml)
        case "csv":
            assert len(list(csv.reader(io.StringIO(document, newline="")))) == 3
        case "jsonl":
            assert [json.loads(line)["type"] for line in document.split("\n")[:-1]][1:3] == ["finding", "finding"]
        case _:
            assert json.loads(document)


def test_identities_are_unique_and_do_not_depend_on_the_run() -> None:
    findings = samples.telling().findings
    ids = identities([*findings, *findings])
    assert len(set(ids)) == 2 * len(findings)
    assert ids[: len(findings)] == identities(findings)
    other = [replace(one, message="said otherwise", status=Status.NOTICE) for one in findings]
    assert identities(other) == identities(findings)


@pytest.mark.parametrize(
    ("rule", "before", "after", "same"),
    [
        (rules.GAP_TAIL, (20, 24), (20, 30), True),
        (rules.GAP_TAIL, (20, 24), (21, 24), False),
        (rules.GAP_LATE_START, (0, 5), (2, 5), True),
        (rules.GAP_LATE_START, (0, 5), (0, 6), False),
        (rules.CHAIN_ABSENT, (0, 24), (1, 30), True),
    ],
)
def test_a_gap_is_known_by_the_edge_that_is_not_the_windows_own(
    rule: str, before: tuple[int, int], after: tuple[int, int], same: bool
) -> None:
    (a,), (b,) = identities([finding(rule, hours=before)]), identities([finding(rule, hours=after)])
    assert (a == b) is same


def test_identities_tell_rules_buckets_and_keys_apart() -> None:
    base = finding(rules.LOG_ALTERED, "a")
    others = [replace(base, key="b"), replace(base, bucket="other"), replace(base, rule=rules.LOG_MALFORMED)]
    assert len(set(identities([base, *others]))) == 4
    assert len({identities([one])[0] for one in (base, *others)}) == 4


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (finding(rules.LOG_ALTERED, log_key(), hours=(3, 4)), Interval(at(3), at(4))),
        (finding(rules.LOG_EXTRA, log_key(5)), Interval(at(5), at(5) + timedelta(minutes=1))),
        (finding(rules.DIGEST_MALFORMED, samples.digest_key(7)), Interval(at(6), at(7))),
        (
            finding(rules.DIGEST_MALFORMED, "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/01/02/x/strange"),
            Interval(at(24), at(48)),
        ),
        (finding(rules.DIGEST_MALFORMED, "strange"), None),
        (finding(rules.CHAIN_ABSENT), None),
    ],
)
def test_a_finding_is_placed_in_time_by_its_hours_or_its_key(record: FindingRecord, expected: Interval | None) -> None:
    assert hours(record) == expected


def test_objects_have_uris_and_arns_that_lead_back_to_them() -> None:
    whole = samples.telling()
    for key in HOSTILE_KEYS[:-3]:
        record = finding(rules.LOG_EXTRA, key)
        uri = object_uri(record, whole)
        assert uri is not None
        parts = urlsplit(uri)
        assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("s3", BUCKET, f"/{key}")
        assert re.fullmatch(r"[A-Za-z0-9:/%._~-]+", uri)
        assert object_arn(record) == f"arn:aws:s3:::{BUCKET}/{printable(key)}"
    local = replace(whole, request=replace(whole.request, source="file:///srv/copy"))
    assert object_uri(replace(finding(rules.LOG_EXTRA, "a b"), bucket=None), local) == "file:///srv/copy/a%20b"
    assert object_uri(finding(rules.GAP_TAIL, hours=(0, 1)), whole) is None
    assert object_arn(finding(rules.GAP_TAIL, hours=(0, 1))) is None


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
        (None, "aws"),
    ],
)
def test_a_region_has_a_partition(region: str | None, expected: str) -> None:
    assert partition_of(region) == expected
    if region:
        assert botocore.session.get_session().get_partition_for_region(region) == expected


def test_the_sentence_says_the_numbers_that_make_the_verdict() -> None:
    telling = samples.telling()
    numbers = Counter(one.status for one in telling.findings)
    assert f"{numbers[Status.ALTERED]} altered" in sentence(telling)
    assert "notice" not in sentence(telling)
    assert "at least" in sentence(replace(telling, findings_truncated=True))
    assert sentence(samples.quiet()).startswith("Every hour that is due is covered")
    assert sentence(samples.empty()).startswith("Nothing validated")
    assert "1 uncovered" in sentence(samples.verdicts()[Verdict.UNPROVEN])
    gap = finding(rules.GAP_TAIL, hours=(20, 24))
    assert sentence(report([chain()], [gap], tolerated=[rules.GAP_TAIL])).endswith("tolerated: 1 uncovered")


def test_every_format_says_what_may_explain_a_finding() -> None:
    known = samples.explained(finding(rules.LOG_MISSING, log_key(5)), 23)
    lines = explanations(known)
    user = "arn:aws:iam::111122223333:user/jane"
    who = f"{user} from 192.0.2.1"
    assert lines[20:] == [
        "3 more events in the JSON report",
        "lifecycle rule expire-old (after 30 d)",
        f"versions: v1 of 2026-01-01T01:00:00Z is the original; replaced 2026-01-01T02:00:00Z; {user}",
        "restore it: aws s3api copy-object --bucket DOC-EXAMPLE-BUCKET",
        "events: 1 removed, 1 changed, 0 added, 8 equal",
        f"removed 2026-01-01T00:05:00Z DeleteTrail by {user}, event event-gone",
        f"changed 2026-01-01T00:05:00Z DeleteTrail by {user}: {user}, event event-gone",
    ]
    assert lines[19] == f"2026-01-01T01:57:00Z DeleteObject by {who}, event event-3"
    assert explanations(samples.explained(known, 1))[0] == (
        f"2026-01-01T02:00:00Z DeleteObject (AccessDenied) by {who}, event event-0"
    )
    assert explanations(finding(rules.LOG_MISSING, log_key(5))) == []
    sample = report([chain()], [known])
    (row,) = csv.DictReader(io.StringIO(csv_format.render(sample), newline=""))
    assert row["events"].split(" | ") == lines[:21]
    assert row["versions"].split(" | ") == lines[22:]
    assert row["lifecycle"] == known.lifecycle
    (result,) = json.loads(sarif.render(sample))["runs"][0]["results"]
    assert len(result["properties"]["events"]) == 23
    assert result["properties"]["versions"]["original"]["version_id"] == "v1"
    (imported,) = json.loads(asff.render(sample))
    assert imported["ProductFields"]["ctvalidate/Explanation/20"] == lines[19]
    (event,) = json.loads(ocsf.render(sample))
    assert [one["data"].get("event_id") for one in event["evidences"]] == [None, *(f"event-{n}" for n in range(23))]
    assert event["evidences"][0]["data"]["lifecycle"] == known.lifecycle
    assert event["evidences"][0]["data"]["versions"].split("\n") == lines[22:]
    assert all(line in junit.render(sample) for line in lines)


def test_a_rule_of_a_later_version_is_rendered_by_its_id() -> None:
    sample = single()
    later = replace(sample, findings=(replace(sample.findings[0], rule="log-singing"),))
    (run,) = json.loads(sarif.render(later))["runs"]
    assert run["tool"]["driver"]["rules"] == [{"id": "log-singing"}]
    assert json.loads(asff.render(later))[0]["Title"] == "CloudTrail: log-singing"
    assert json.loads(ocsf.render(later))[0]["finding_info"]["title"] == "log-singing"
    assert "log-singing" in junit.render(later)
    assert "log-singing" in csv_format.render(later)


def test_a_command_that_cannot_be_shown_as_it_is_is_not_shown() -> None:
    bare = finding(rules.LOG_MISSING, log_key(5))
    marker = Version(
        version_id="v2", last_modified=at(3), size=None, is_latest=True, delete_marker=True, proven=None, cause=None
    )
    gone = Versions(versions=(marker,), deleted_at=at(3), restore_command="aws \x1b[2J")
    assert explanations(replace(bare, versions=gone)) == [
        "versions: none of 1 version is proven; deleted 2026-01-01T03:00:00Z"
    ]
    assert explanations(replace(bare, versions=Versions())) == []


def test_what_changed_inside_a_log_is_told_in_lines() -> None:
    removed = tuple(
        Event(event_id=f"e{n}", time="2026-01-01T00:05:00Z", name="DeleteTrail\x1b", actor="jane") for n in (1, 2)
    )
    change = Change(path="sourceIPAddress", before='"192.0.2.1"', after=None)
    changed = Changed(event=Event(event_id="e3", name="AssumeRole"), changes=(change,), total=1)
    counts = Counts(unchanged=7, removed=12, added=1, changed=1, duplicates=0)
    changes = Changes(verdict="different", counts=counts, removed=removed, added=(Event(),), changed=(changed,))
    lines = change_lines(Versions(changes=changes))
    assert lines[0] == "events: 12 removed, 1 changed, 1 added, 7 equal"
    assert lines[1] == "removed 2026-01-01T00:05:00Z DeleteTrail\\x1b by jane, event e1"
    assert lines[3:] == [
        "changed AssumeRole: sourceIPAddress, event e3",
        "added an event, event without an id",
        "10 more events: ctvalidate diff",
    ]
    unread = Changes(
        verdict="unknown", counts=Counts(unchanged=0, removed=0, added=0, changed=0, duplicates=0), problem="no"
    )
    assert change_lines(Versions(changes=unread)) == ["events: not compared: no"]
    assert change_lines(Versions()) == []
