"""What may be asked: times as understood, and one line for everything that cannot be meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.model import Interval, Status, isoformat, utc
from cloudtrail_validate.request import Request, parse_span, parse_time
from cloudtrail_validate.runtime.clock import now_utc

NOW = datetime(2026, 2, 1, tzinfo=UTC)
START = datetime(2026, 1, 5, tzinfo=UTC)
ARN = "arn:aws:cloudtrail:us-east-1:111122223333:trail/mgmt"
POINT = "arn:aws:s3:eu-central-1:111122223333:accesspoint/trail-copy"
GOOD = Request(start=START, bucket="amzn-s3-demo-bucket")


def refused(request: Request) -> str:
    """The one line that a request is refused with."""
    with pytest.raises(RequestError) as caught:
        request.check(NOW)
    line = str(caught.value)
    assert "expected" in line
    assert "\n" not in line
    return line


def test_a_window_is_of_whole_seconds_and_leaves_nothing_out() -> None:
    half = timedelta(milliseconds=500)
    asked = replace(GOOD, start=START + half, end=START + timedelta(hours=1) + half)
    assert asked.window(NOW) == Interval(START, START + timedelta(hours=1, seconds=1))
    assert replace(GOOD, end=NOW).window(NOW) == Interval(START, NOW)
    assert GOOD.window(NOW + half) == Interval(START, NOW)  # now is no second that has passed


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"bucket": None, "trail_arn": ARN},
        {"trail_arn": ARN, "prefix": "p/", "regions": ("us-east-1", "eu-west-1"), "accounts": ("111122223333",)},
        {"bucket": None, "source": Path()},
        {"bucket": None, "source": Path(), "prefix": "p"},
        {"prefix": ""},
        {"prefix": "größe/日本 +%"},
        {"role_arn": "arn:aws:iam::111122223333:role/path/Audit-Role", "external_id": "x"},
        {"end": NOW + timedelta(days=400)},
        {"concurrency": 1, "max_rate": 0.5},
        {"concurrency": 4096, "max_rate": 1_000_000.0},
        {"bucket": "Old_Bucket.Name"},
        {"bucket": POINT},
        {"bucket": POINT, "copy_of": "s3://amzn-s3-demo-bucket/a/"},
        {"bucket": "trail-copy-abcdef1234567890abcdef1234567890s3alias", "copy_of": "amzn-s3-demo-bucket"},
        {"tolerate": frozenset({rules.GAP_TAIL, rules.LOG_UNDIGESTED, rules.DIGEST_KEY_UNKNOWN})},
        {"source": Path(), "endpoint_url": "https://s3.example.com"},  # where the keys come from
        {"bucket": None, "trail_arn": ARN, "prefix": "p"},  # as aws-cli takes it: the trail's own prefix counts
    ],
)
def test_what_can_be_meant_is_accepted(fields: dict[str, Any]) -> None:
    request = replace(GOOD, **fields)
    request.check(NOW)
    assert request.window(NOW).end == (request.end or NOW)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"bucket": None}, "--trail-arn, --s3-bucket or --source"),
        ({"trail_arn": "mgmt"}, "--trail-arn"),
        ({"trail_arn": "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/5a6b"}, "event data store"),
        ({"trail_arn": ""}, "--trail-arn"),
        ({"regions": ("us-east-1", "moon")}, "'moon'"),
        ({"regions": ("all",)}, "leave it out"),
        ({"regions": ("us-east-1a",)}, "that is a zone of --region us-east-1"),
        ({"regions": ("",)}, "--region"),
        ({"regions": ("us-east-1/../x",)}, "--region"),
        ({"accounts": ("11112222333",)}, "--account-id"),
        ({"accounts": ("１１１１２２２２３３３３",)}, "--account-id"),
        ({"bucket": ""}, "--s3-bucket"),
        ({"bucket": "a/b"}, "--s3-bucket"),
        ({"bucket": "s3://b/p/AWSLogs/111122223333/"}, "--s3-bucket b --s3-prefix p --account-id 111122223333"),
        ({"bucket": "s3://b/p", "prefix": "q"}, "--s3-bucket b --s3-prefix p?"),
        ({"bucket": "s3://"}, "--s3-bucket"),
        ({"also_buckets": ("no bucket",)}, "--also-bucket"),
        ({"bucket": "x" * 256}, "--s3-bucket"),
        ({"role_arn": "Audit"}, "--role-arn"),
        ({"role_arn": "arn:aws:iam::111122223333:user/u"}, "--role-arn"),
        ({"role_arn": "arn:aws:sts::111122223333:assumed-role/Audit/me"}, "arn:aws:iam::111122223333:role/Audit"),
        ({"source": "s3://bucket/prefix"}, "--s3-bucket"),
        ({"start": "2026-01-05"}, "start: expected datetime"),
        ({"end": 1767225600}, "end: expected datetime"),
        ({"bucket": b"amzn-s3-demo-bucket"}, "bucket: expected str"),
        ({"regions": (1,)}, "regions: expected str"),
        ({"concurrency": "512"}, "concurrency: expected int"),
        ({"external_id": "x"}, "--role-arn"),
        ({"source": Path("no/such/folder")}, "--source"),
        ({"source": Path(__file__)}, "--source"),
        ({"concurrency": 0}, "--concurrency"),
        ({"concurrency": 4097}, "--concurrency"),
        ({"max_rate": 0.0}, "--max-rate"),
        ({"max_rate": -1.0}, "--max-rate"),
        ({"max_rate": float("nan")}, "--max-rate"),
        ({"max_rate": float("inf")}, "--max-rate"),
        ({"start": NOW}, "--start-time"),
        ({"end": START}, "--start-time"),
        ({"end": START - timedelta(seconds=1)}, "--start-time"),
        ({"tolerate": frozenset({"gap"})}, "'gap'"),
        ({"tolerate": frozenset({"GAP-TAIL"})}, "did you mean gap-tail?"),
        ({"tolerate": frozenset({"gap_tial"})}, "did you mean gap-tail?"),
        ({"accounts": ("all",)}, "so leave it out"),
        ({"regions": ("global",)}, "the trail's home region"),
        (
            {"bucket": "https://amzn-s3-demo-bucket.s3.eu-west-1.amazonaws.com/AWSLogs/"},
            "--s3-bucket amzn-s3-demo-bucket",
        ),
        ({"bucket": "https://s3.us-gov-west-1.amazonaws.com/amzn-s3-demo-bucket"}, "--s3-bucket amzn-s3-demo-bucket"),
        (
            {"bucket": "https://us-east-1.console.aws.amazon.com/s3/buckets/amzn-s3-demo-bucket?region=us-east-1"},
            "address of --s3-bucket amzn-s3-demo-bucket",
        ),
        ({"trail_arn": "s3://amzn-s3-demo-bucket"}, "a bucket is given to --s3-bucket"),
        ({"trail_arn": "arn:aws:s3:::amzn-s3-demo-bucket"}, "a bucket is given to --s3-bucket"),
        ({"tolerate": frozenset({rules.GAP_TAIL, rules.LOG_ALTERED})}, "log-altered is altered"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(fields: dict[str, Any], says: str) -> None:
    assert says in refused(replace(GOOD, **fields))


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"bucket": " amzn-s3-demo-bucket\n"}, {"bucket": "amzn-s3-demo-bucket"}),
        ({"bucket": "s3://amzn-s3-demo-bucket"}, {"bucket": "amzn-s3-demo-bucket", "prefix": None}),
        ({"bucket": "s3://amzn-s3-demo-bucket/"}, {"bucket": "amzn-s3-demo-bucket", "prefix": None}),
        ({"bucket": "s3://amzn-s3-demo-bucket/a/b/"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a/b"}),
        ({"bucket": "amzn-s3-demo-bucket/a"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a"}),
        ({"bucket": "s3://amzn-s3-demo-bucket/a", "prefix": "a"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a"}),
        ({"bucket": "s3://amzn-s3-demo-bucket/AWSLogs/"}, {"bucket": "amzn-s3-demo-bucket", "prefix": None}),
        ({"bucket": "s3://amzn-s3-demo-bucket/a/AWSLogs"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a"}),
        ({"bucket": "arn:aws:s3:::amzn-s3-demo-bucket"}, {"bucket": "amzn-s3-demo-bucket", "prefix": None}),
        ({"bucket": "arn:aws-us-gov:s3:::amzn-s3-demo-bucket/a/*"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a"}),
        ({"bucket": POINT}, {"bucket": POINT, "prefix": None}),
        ({"bucket": f"{POINT}/object/a/"}, {"bucket": POINT, "prefix": "a"}),
        ({"bucket": f"s3://{POINT}/object/a/AWSLogs/"}, {"bucket": POINT, "prefix": "object/a"}),
        ({"prefix": " a/ "}, {"prefix": " a/ "}),  # free text
        ({"trail_arn": f" {ARN}\n"}, {"trail_arn": ARN}),
        ({"accounts": ("1111-2222-3333", " 444455556666")}, {"accounts": ("111122223333", "444455556666")}),
        ({"accounts": "111122223333,4444-5555-6666"}, {"accounts": ("111122223333", "444455556666")}),
        ({"regions": ("US-East-1", " eu-west-1 ")}, {"regions": ("us-east-1", "eu-west-1")}),
        ({"regions": ["us-east-1,eu-west-1"]}, {"regions": ("us-east-1", "eu-west-1")}),
        ({"also_buckets": ("s3://amzn-s3-demo-bucket1/logs",)}, {"also_buckets": ("amzn-s3-demo-bucket1",)}),
        ({"tolerate": ["gap-tail"]}, {"tolerate": frozenset({"gap-tail"})}),
        ({"tolerate": "gap-tail, gap-restart"}, {"tolerate": frozenset({"gap-tail", "gap-restart"})}),
        ({"trail_arn": f'"{ARN}"'}, {"trail_arn": ARN}),  # as an env file of a container hands it on
        ({"bucket": "'amzn-s3-demo-bucket'"}, {"bucket": "amzn-s3-demo-bucket", "prefix": None}),
        ({"bucket": "S3://amzn-s3-demo-bucket/a"}, {"bucket": "amzn-s3-demo-bucket", "prefix": "a"}),
        ({"regions": ("us_east_1",)}, {"regions": ("us-east-1",)}),
        ({"source": "."}, {"source": Path()}),
        ({"public_keys": "keys.json"}, {"public_keys": Path("keys.json")}),
    ],
)
def test_slips_with_one_meaning_are_taken(fields: dict[str, Any], meant: dict[str, Any]) -> None:
    request = replace(GOOD, **fields)
    request.check(NOW)
    assert {name: getattr(request, name) for name in meant} == meant
    assert replace(request) == request


@given(st.text(max_size=60), st.text(max_size=30))
def test_any_text_for_a_bucket_is_a_name_or_refused(bucket: str, prefix: str) -> None:
    request = Request(start=START, bucket=bucket, prefix=prefix)
    try:
        request.check(NOW)
    except RequestError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right
    else:
        assert request.bucket
        assert "/" not in request.bucket


def test_a_trail_s_name_is_told_from_its_arn() -> None:
    line = refused(replace(GOOD, trail_arn="management-events"))
    assert "that is a trail's name" in line
    assert "aws cloudtrail describe-trails --trail-name-list management-events" in line


@pytest.mark.parametrize(("text", "hint"), [("24", "--last 24h or --last 24d?"), ("0", ""), ("7M", ""), ("x", "")])
def test_a_number_without_a_unit_is_asked_about(text: str, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_span(text)
    assert str(caught.value).endswith(hint or repr(text))


def test_the_folder_itself_is_not_the_one_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "AWSLogs" / "AWSLogs").mkdir(parents=True)
    replace(GOOD, bucket=None, source=tmp_path / "AWSLogs").check(NOW)  # a prefix of that name
    says = refused(replace(GOOD, bucket=None, source=tmp_path / "AWSLogs" / "AWSLogs"))
    assert says.startswith("--source: expected the folder that holds AWSLogs/")


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_only_what_is_uncovered_or_unverifiable_may_be_tolerated(rule: str) -> None:
    request = replace(GOOD, tolerate=frozenset({rule}))
    statuses = {rules.RULES[rule].status, rules.RULES[rule].also}
    if statuses & {Status.UNCOVERED, Status.UNVERIFIABLE}:
        request.check(NOW)
    else:
        assert rule in refused(request)


def test_the_window_is_in_utc_and_ends_now_unless_told() -> None:
    tokyo = timezone(timedelta(hours=9))
    request = Request(start=datetime(2026, 1, 5, 9, tzinfo=tokyo), end=datetime(2026, 1, 6), bucket="b")  # noqa: DTZ001  # naive
    assert request.window(NOW) == Interval(START, START + timedelta(days=1))
    assert GOOD.window(NOW) == Interval(START, NOW)
    assert request.window(NOW).start.tzinfo is UTC


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("20260131", "2026-01-31T00:00:00Z"),
        ("2026-01-31T10", "2026-01-31T10:00:00Z"),
        ("2026-01-31T10:30", "2026-01-31T10:30:00Z"),
        ("2026-01-31T10:30:15", "2026-01-31T10:30:15Z"),
        ("2026-01-31 10:30:15", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15Z", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15 Z", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15UTC", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15 UTC", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15 gmt", "2026-01-31T10:30:15Z"),
        ("20260131T103015Z", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15+00:00", "2026-01-31T10:30:15Z"),
        ("2026-01-31T10:30:15+02:00", "2026-01-31T08:30:15Z"),
        ("2026-01-31T10:30:15-0530", "2026-01-31T16:00:15Z"),
        ("2026-01-31T23:30:00-05", "2026-02-01T04:30:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2026-01-31T24:00", "2026-02-01T00:00:00Z"),
        (" 2026-01-31\n", "2026-01-31T00:00:00Z"),
    ],
)
def test_times_that_are_understood(text: str, expected: str) -> None:
    moment = parse_time(text)
    assert moment.tzinfo is UTC
    assert isoformat(moment) == expected


@pytest.mark.parametrize(
    "text",
    [
        "01/03/2026",
        "1/3/26",
        "03-01-2026",
        "2026/01/03",
        "10am",
        "10:00",
        "now",
        "today",
        "yesterday",
        "2026",
        "2026-01",
        "202601",
        "2026-W05",
        "2026-W05-1",
        "2026W051",
        "2026-031",
        "2026-1-3",
        "26-01-03",
        "2026-02-29",
        "2026-13-01",
        "2026-01-31T25:00",
        "2026-01-31T10:61",
        "2026-01-31T10am",
        "2026-01-31T10:00 PM",
        "2026-01-31T10:00:00 Europe/Berlin",
        "2026-01-31T10:00:00 EST",
        "2026-01-31T10:00:00 BST",
        "2026-01-31T10:00:00 UTC+2",
        "2026-01-31T10:00:00 ZULU",
        "2026-01-31T10:00:00+25:00",
        "2026-01-31T",
        "２０２６-01-31",
        "2026-01-31T１０:00",
        "2012-12-31",
        "9999-12-31",
        "0001-01-01",
        "1767225600",
        "",
    ],
)
def test_times_that_are_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_time(text, "--start-time")
    line = str(caught.value)
    assert line.startswith("--start-time: expected ")
    assert repr(text) in line
    assert "\n" not in line


@given(st.text(st.characters() | st.sampled_from("0123456789-:TZ+ ."), max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert parse_time(text).tzinfo is UTC
    except RequestError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right


@given(st.datetimes(datetime(2013, 1, 2), datetime(8999, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001  # naive
def test_an_offset_is_honoured(naive: datetime, minutes: int) -> None:
    moment = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_time(moment.isoformat()) == moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("30s", timedelta(seconds=30)),
        ("007d", timedelta(days=7)),
        ("7300d", timedelta(days=7300)),
        ("1d12h", timedelta(hours=36)),
        ("1d 12h", timedelta(hours=36)),
        ("12h1d", timedelta(hours=36)),
        ("24hours", timedelta(hours=24)),
        ("1 day", timedelta(days=1)),
        ("2 weeks", timedelta(weeks=2)),
        ("90 min", timedelta(minutes=90)),
        ("1day 12hrs", timedelta(hours=36)),
        (" 7 D\n", timedelta(days=7)),
    ],
)
def test_spans_that_are_understood(text: str, expected: timedelta) -> None:
    assert parse_span(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "d",
        "7M",
        "7h7h",
        "-7d",
        "1.5d",
        "0d",
        "000h",
        "7y",
        "1mo",
        "7301d",
        "999999w",
        "9" * 30 + "d",
        "７d",
        "1d-12h",
        "3HOURS",
    ],
)
def test_spans_that_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--last: expected ") as caught:
        parse_span(text)
    assert "\n" not in str(caught.value)


def test_the_clock_is_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= now_utc() <= datetime.now(UTC)
    assert now_utc().tzinfo is UTC


def test_utc_takes_a_naive_time_as_utc() -> None:
    assert utc(datetime(2026, 1, 5)) == START  # noqa: DTZ001  # naive
    assert utc(datetime(2026, 1, 5, 2, tzinfo=timezone(timedelta(hours=2)))) == START
