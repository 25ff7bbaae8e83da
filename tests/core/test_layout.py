"""S3 keys: those of a real bucket, those that a trail's name or prefix makes hard, and those made to break a parser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import layout
from cloudtrail_validate.core.coverage import covers
from cloudtrail_validate.core.layout import (
    DIGEST_KIND,
    LOG_KIND,
    Folder,
    TrailArn,
    base_of,
    day_path,
    folder_day,
    folder_of,
    is_log_key,
    log_bound,
    log_minute,
    next_digest_key,
    parse_digest_key,
    parse_trail_arn,
)
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator
from cloudtrail_validate.core.unreferenced import unreferenced
from cloudtrail_validate.simulate import TrailSpec, naming
from cloudtrail_validate.simulate.spec import AccountRegion

from .helpers import ACCOUNT, BUCKET, CHAIN, FOLDER, REGION, START

LISTING = (Path(__file__).parents[1] / "vectors_real" / "real_listing.txt").read_text()
REAL = [line.split(maxsplit=3) for line in LISTING.splitlines() if not line.startswith("#")]
DIGESTS = [row for row in REAL if "_CloudTrail-Digest_" in row[3]]
LOGS = [row for row in REAL if "_CloudTrail_" in row[3]]
END = START + HOUR
NAME = "111122223333_CloudTrail-Digest_us-east-1_{}_20260105T010000Z{}.json.gz"

TRAILS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{2,30}", fullmatch=True)
REGIONS = st.sampled_from(
    ["us-east-1", "ap-northeast-1", "us-gov-west-1", "cn-north-1", "il-central-1", "mx-central-1"]
)
PREFIXES = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
ORGANIZATIONS = st.none() | st.from_regex(r"o-[a-z0-9]{10,32}", fullmatch=True)
MOMENTS = st.datetimes(datetime(2013, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  # Hypothesis's bounds
    lambda moment: moment.replace(microsecond=0)
)


# -- a real bucket ----------------------------------------------------------------------------------------------------


def test_the_real_listing_holds_what_these_tests_speak_of() -> None:
    assert (len(REAL), len(DIGESTS), len(LOGS)) == (9, 3, 4)


@pytest.mark.parametrize("key", [row[3] for row in DIGESTS])
def test_a_real_digest_key(key: str) -> None:
    found = folder_of("b", key)
    assert found is not None
    folder, kind = found
    region = key.split("/")[3]
    assert (folder, kind) == (Folder("b", "AWSLogs/", "111122223333", region), DIGEST_KIND)
    name = parse_digest_key(folder, key)
    assert name is not None
    assert name.chain == ChainId("111122223333", region, "global-trail", "ap-northeast-1", None, Kind.STANDARD)
    assert name.end == datetime(2026, 3, 7, 13, 41, 21, tzinfo=UTC)
    assert next_digest_key(folder, name.chain, name.end) == key
    assert log_minute(key) is None


@pytest.mark.parametrize(("date", "time", "key"), [(row[0], row[1], row[3]) for row in LOGS])
def test_a_real_log_key(date: str, time: str, key: str) -> None:
    found = folder_of("b", key)
    assert found is not None
    assert found[1] == LOG_KIND
    minute = log_minute(key)
    assert minute is not None
    assert is_log_key(key)
    written = unreferenced(Locator("b", key), datetime.fromisoformat(f"{date}T{time}Z"))
    assert not written.late
    assert all(covers(written.spans, Interval(moment, moment)) for moment in (minute, written.modified) if moment)
    assert folder_day(key) == Interval(datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))
    assert parse_digest_key(found[0], key) is None


@pytest.mark.parametrize("key", [row[3] for row in REAL if row[3].endswith("/")])
def test_a_real_marker_is_neither(key: str) -> None:
    assert (log_minute(key), folder_of("b", key), folder_day(key)) == (None, None, None)


# -- digest names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("middle", "trail", "home"),
    [
        ("mgmt_us-east-1", "mgmt", "us-east-1"),
        ("mgmt_us-east-1_us-east-1", "mgmt_us-east-1", "us-east-1"),
        ("mgmt_us-east-1_eu-west-1", "mgmt_us-east-1", "eu-west-1"),
        ("a_b_c_us-east-1", "a_b_c", "us-east-1"),
        ("___us-east-1", "__", "us-east-1"),
        ("x_20260105T010000Z_us-east-1", "x_20260105T010000Z", "us-east-1"),
        ("x_backfill_us-east-1", "x_backfill", "us-east-1"),
        ("a.b-c_us-gov-west-1", "a.b-c", "us-gov-west-1"),
    ],
)
@pytest.mark.parametrize(("suffix", "kind"), [("", Kind.STANDARD), ("_backfill", Kind.BACKFILL)])
def test_a_digest_name_is_read_from_the_right(middle: str, trail: str, home: str, suffix: str, kind: Kind) -> None:
    name = parse_digest_key(FOLDER, "any/folder/" + NAME.format(middle, suffix))
    assert name is not None
    assert name.chain == replace(CHAIN, trail=trail, home_region=home, kind=kind)
    assert name.end == END


@pytest.mark.parametrize(
    "name",
    [
        NAME.format("mgmt_us-east-1", "_Backfill"),
        NAME.format("mgmt_us-east-1", "") + "\n",
        NAME.format("mgmt_us-east-1", "") + "/",
        NAME.format("mgmt_us-east-1", "").replace(".gz", ""),
        NAME.format("us-east-1", ""),
        NAME.format("mg mt_us-east-1", ""),
        NAME.format("mgmt_us-east-1", "").replace("20260105T01", "20260230T01"),
        NAME.format("mgmt_us-east-1", "").replace("20260105T01", "20260105T24"),
        NAME.format("mgmt_us-east-1", "").replace("2026", "２０２６"),
        NAME.format("mgmt_us-east-1", "").replace("111122223333", "444455556666"),
        NAME.format("mgmt_us-east-1", "").replace("Digest_us-east-1", "Digest_us-east-2"),
        NAME.format("mgmt_us-east-1", "").replace("CloudTrail-Digest", "CloudTrail"),
        "",
    ],
)
def test_what_is_no_digest_name_of_this_folder(name: str) -> None:
    assert parse_digest_key(FOLDER, name) is None


CHAINS = st.builds(ChainId, st.just(ACCOUNT), REGIONS, TRAILS, REGIONS, ORGANIZATIONS, st.sampled_from(Kind))


@given(CHAINS, PREFIXES, MOMENTS)
def test_a_digest_key_reads_back_as_it_was_written(chain: ChainId, prefix: str | None, end: datetime) -> None:
    base = base_of(prefix) + (f"{chain.organization_id}/" if chain.organization_id else "")
    folder = Folder(BUCKET, base, ACCOUNT, chain.region)
    key = next_digest_key(folder, chain, end)
    assert folder_of(BUCKET, key) == (folder, DIGEST_KIND)
    name = parse_digest_key(folder, key)
    assert name is not None
    assert (name.chain, name.end) == (chain, end)
    assert folder_day(key) == Interval(end.replace(hour=0, minute=0, second=0), _midnight_after(end))
    # The simulator writes keys by a grammar of its own.
    spec = TrailSpec(
        trail_name=chain.trail,
        regions=(chain.region,),
        home_region=chain.home_region,
        organization_id=chain.organization_id,
        prefix=prefix or "",
    )
    site = AccountRegion(ACCOUNT, chain.region)
    assert naming.digest_key(spec, site, end, backfill=chain.kind is Kind.BACKFILL) == key
    log_key = naming.log_key(spec, site, end, "A1b2" * 4)
    assert folder_of(BUCKET, log_key) == (folder, LOG_KIND)
    assert log_minute(log_key) == end.replace(second=0)


def _midnight_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0) + timedelta(days=1)


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix",
    [
        "logs",
        "logs/",
        "/logs",
        "a b",
        "a+b",
        "100%25",
        "%2F",
        "größe/日本",
        "a\nb",
        "AWSLogs",
        "AWSLogs/444455556666/CloudTrail/eu-west-1",
        "x/AWSLogs/444455556666/CloudTrail/eu-west-1",
        "AWSLogs/o-exampleorgid/444455556666/CloudTrail-Digest/eu-west-1",
        "111122223333/CloudTrail",
        "111122223333/CloudTrail/us-east-1",
        "o-exampleorgid",
        "x" * 200,
    ],
)
@pytest.mark.parametrize("organization", [None, "o-exampleorgid"])
def test_the_last_awslogs_is_cloudtrails_own(prefix: str, organization: str | None) -> None:
    base = f"{prefix}/AWSLogs/" + (f"{organization}/" if organization else "")
    folder = Folder(BUCKET, base, ACCOUNT, REGION)
    assert base_of(prefix) == f"{prefix}/AWSLogs/"
    assert folder.organization_id == organization
    for kind in (DIGEST_KIND, LOG_KIND, "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated"):
        assert folder_of(BUCKET, folder.path(kind) + "2026/01/05/x.json.gz") == (folder, kind)


@pytest.mark.parametrize("prefix", [None, ""])
def test_without_a_prefix_the_bucket_begins_with_awslogs(prefix: str | None) -> None:
    assert base_of(prefix) == "AWSLogs/"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "AWSLogs/",
        "AWSLogs/111122223333/CloudTrail/us-east-1",
        "AWSLogs/111122223333/cloudtrail/us-east-1/x",
        "AWSLogs/11112222333/CloudTrail/us-east-1/x",
        "AWSLogs/x111122223333/CloudTrail/us-east-1/x",
        "AWSLogs/o-UPPERCASE01/111122223333/CloudTrail/us-east-1/x",
        "AWSLogs/111122223333/CloudTrail//x",
        "111122223333/CloudTrail/us-east-1/x",
        "xAWSLogs/111122223333/CloudTrail/us-east-1/x",
        "AWSLogs/111122223333/Config/us-east-1/x",
    ],
)
def test_what_is_in_no_folder_of_cloudtrail(key: str) -> None:
    assert folder_of(BUCKET, key) is None


@pytest.mark.parametrize("base", ["AWSLogs/", "p/AWSLogs/", "o-exampleorgid/AWSLogs/", "AWSLogs/o-x/"])
def test_a_base_without_an_organization(base: str) -> None:
    assert Folder(BUCKET, base, ACCOUNT, REGION).organization_id is None


# -- logs and days ----------------------------------------------------------------------------------------------------

LOG = "111122223333_CloudTrail_us-east-1_20260105T0105Z_A1b2C3d4E5f6G7h8.json.gz"


@pytest.mark.parametrize(
    ("name", "minute"),
    [
        (LOG, 65),
        ("a/b//" + LOG, 65),
        (LOG.removesuffix(".gz"), 65),
        (LOG.replace("CloudTrail", "CloudTrail-Insight"), 65),
        (LOG.replace("A1b2C3d4E5f6G7h8", "x"), 65),
        (LOG.replace("0105Z", "2360Z"), None),
        (LOG.replace("0105Z", "010500Z"), None),
        (LOG + "/", None),
        (LOG + "\n", None),
        (LOG + ".bak", None),
        (LOG.replace("1111", "11"), None),
        ("evil.json.gz", None),
        ("", None),
    ],
)
def test_the_minute_in_a_logs_name(name: str, minute: int | None) -> None:
    assert log_minute(name) == (None if minute is None else START + timedelta(minutes=minute))


BELOW = FOLDER.path(LOG_KIND)


@pytest.mark.parametrize(
    ("key", "day"),
    [
        (BELOW + "2026/01/05/x", 0),
        (BELOW + "2026/01/06/", 1),
        (BELOW + "2026/01/06/2026/01/05/x", 1),
        ("p/q/" + FOLDER.path(DIGEST_KIND) + "2026/01/05/deep/er/x", 0),
        (BELOW + "2026/13/05/x", None),
        (BELOW + "2026/01/05", None),
        (BELOW + "x/2026/01/05/x", None),
        (BELOW + "x2026/01/05/x", None),
        (BELOW + "2026/1/5/x", None),
        ("2026/01/05/x", None),
        ("", None),
    ],
)
def test_the_day_of_a_date_folder(key: str, day: int | None) -> None:
    start = None if day is None else START + timedelta(days=day)
    assert folder_day(key) == (None if start is None else Interval(start, start + timedelta(days=1)))


@given(MOMENTS, MOMENTS)
def test_a_bound_parts_logs_by_their_minute(one: datetime, other: datetime) -> None:
    spec, site = TrailSpec(), AccountRegion(ACCOUNT, REGION)
    key, bound = naming.log_key(spec, site, one, "A1b2" * 4), log_bound(FOLDER, LOG_KIND, other)
    assert (key > bound) == (one.replace(second=0) >= other.replace(second=0))


def test_the_path_of_a_day() -> None:
    assert day_path(START) == "2026/01/05"


# -- hostile keys -----------------------------------------------------------------------------------------------------

WORDS = (
    (
        "AWSLogs",
        "111122223333",
        "o-exampleorgid",
        "us-east-1",
        "CloudTrail",
        "CloudTrail-Digest",
        "_backfill",
        ".json.gz",
    ),
    ("20260105T010000Z", "99991231T235959Z", "2026", "01", "0000", "9999", "//", ".."),
    tuple("/_TZ\n\0é\ud800"),
)
HOSTILE = st.text(st.characters() | st.sampled_from("/_-0123456789"), max_size=60) | st.lists(
    st.sampled_from([word for words in WORDS for word in words]), max_size=25
).map("".join)


@given(HOSTILE)
@example("1" * 100_000)
@example("AWSLogs/" * 20_000)
@example("AWSLogs/111122223333/CloudTrail/" * 5_000)
@example("111122223333_CloudTrail-Digest_us-east-1_" + "a_" * 50_000)
@example("2026/01/05/" * 10_000)
def test_a_hostile_key_raises_nothing(key: str) -> None:
    found = folder_of(BUCKET, key)
    assert found is None or key.startswith(found[0].path(found[1]))
    for parsed in (folder_day(key), parse_digest_key(FOLDER, key), log_minute(key)):
        assert parsed is None or "2" in key


@pytest.mark.parametrize("year", ["0000", "0001", "1999", "9000", "9999"])
def test_a_year_at_the_end_of_time_is_no_stamp(year: str) -> None:
    """Sums with such a time overflow: one planted name would end the validation of its whole region."""
    assert log_minute(LOG.replace("2026", year)) is None
    assert folder_day(f"{FOLDER.path(LOG_KIND)}{year}/12/31/x") is None
    assert parse_digest_key(FOLDER, NAME.format("mgmt_us-east-1", "").replace("2026", year)) is None


@pytest.mark.parametrize("year", [2000, 8999])
def test_every_year_that_is_a_stamp_can_be_reckoned_with(year: int) -> None:
    first, last = log_minute(LOG.replace("20260105", f"{year}0101")), log_minute(LOG.replace("20260105", f"{year}1231"))
    day = folder_day(f"{FOLDER.path(LOG_KIND)}{year}/12/31/x")
    assert first is not None
    assert last is not None
    assert day is not None
    far = timedelta(days=365)
    assert first - far < last < day.end < last + far


# -- trail ARNs -------------------------------------------------------------------------------------------------------

ARN = "arn:aws:cloudtrail:us-east-1:111122223333:trail/mgmt"


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (ARN, TrailArn("aws", "us-east-1", ACCOUNT, "mgmt")),
        (ARN.replace("aws:", "aws-us-gov:"), TrailArn("aws-us-gov", "us-east-1", ACCOUNT, "mgmt")),
        (ARN + "_us-east-1", TrailArn("aws", "us-east-1", ACCOUNT, "mgmt_us-east-1")),
        (ARN.replace("mgmt", "x" * 128), TrailArn("aws", "us-east-1", ACCOUNT, "x" * 128)),
        (ARN.replace("mgmt", "x" * 129), None),
        (ARN.replace("mgmt", "xy"), None),
        (ARN.replace("mgmt", "_mgmt"), None),
        (ARN.replace("us-east-1", "us-east"), None),
        (ARN.replace("us-east-1", "moon"), None),
        (ARN.replace("111122223333", "1111"), None),
        (ARN.replace("cloudtrail", "s3"), None),
        (ARN + "\n", None),
        (ARN + "/x", None),
        ("mgmt", None),
        ("", None),
    ],
)
def test_trail_arns(arn: str, expected: TrailArn | None) -> None:
    assert parse_trail_arn(arn) == expected


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-east-1", "us-iso-east-1", "ap-southeast-10", "eusc-de-east-1"])
def test_regions_of_every_partition(region: str) -> None:
    assert layout.REGION.fullmatch(region)
