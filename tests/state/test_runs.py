"""Runs with a memory: what is proven is proven again by its listing, and what has changed since is found anywhere in it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import ConfigurationError, Report, Request, run
from cloudtrail_validate.core.layout import log_minute
from cloudtrail_validate.report import StateRecord
from cloudtrail_validate.simulate import FolderSink, S3Sink, TrailSpec, simulate
from cloudtrail_validate.stores.local import Local
from tests.scenarios import keys
from tests.servers.clients import make_client

if TYPE_CHECKING:
    from cloudtrail_validate.core.gzip import Inflater
    from cloudtrail_validate.core.model import Locator
    from tests.servers.aws import AwsServer

START = datetime(2026, 1, 1, tzinfo=UTC)
BUCKET = "amzn-s3-demo-bucket"
DAY = timedelta(days=1)
SPEC = TrailSpec(bucket=BUCKET, regions=("us-east-1",), start=START, hours=72, logs_per_hour=2, events_per_log=1)


class Trail:
    """A trail in a folder, a key file, and a state beside them. `read` counts what was read of each sort."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "trail"
        self.keys = folder / "keys.json"
        self.state = folder / "a.state"
        self.read: Counter[str] = Counter()
        self.write()

    def write(self, seed: int = 0, signer: int = 0) -> None:
        """Write the trail, in place of whatever is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        made = simulate(
            replace(SPEC, seed=seed),
            FolderSink(self.folder),
            new_key=keys.source(signer),
        )
        self.keys.write_text(made.keys.as_json())

    def ask(self, start: datetime, end: datetime, **more: Any) -> Report:
        request = Request(start, end, source=self.folder, public_keys=self.keys, state=str(self.state), **more)
        return run(request, now=START + 3 * DAY + timedelta(minutes=40)).report

    def logs(self, hour: int) -> list[Path]:
        """The logs named in an hour."""
        begin = START + timedelta(hours=hour)
        return [
            path
            for path in sorted(self.folder.rglob("*_CloudTrail_us-east-1_*.json.gz"))
            if begin <= (log_minute(path.name) or START - DAY) < begin + timedelta(hours=1)
        ]

    def digest(self, hour: int) -> Path:
        """The digest that ends an hour."""
        end = START + timedelta(hours=hour + 1)
        (found,) = self.folder.rglob(f"*CloudTrail-Digest_us-east-1*{end:%Y%m%dT%H%M%SZ}.json.gz")
        return found


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trail:
    made = Trail(tmp_path)
    digest, contents = Local.digest, Local.contents

    async def one(
        store: Local, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        made.read["digests"] += 1
        return await digest(store, where, size, etag)

    async def many(store: Local, places: list[Locator], *make: Callable[..., Inflater]) -> object:
        made.read["logs"] += len(places)
        return await contents(store, places, *make)

    monkeypatch.setattr(Local, "digest", one)
    monkeypatch.setattr(Local, "contents", many)
    return made


def told(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


def unchanged(report: Report) -> tuple[int, int]:
    """Digests and logs that were not read now."""
    digests = [chain.unchanged_digests for chain in report.chains]
    logs = [chain.unchanged_logs for chain in report.chains]
    return sum(n for n in digests if isinstance(n, int)), sum(n for n in logs if isinstance(n, int))


def test_what_is_proven_is_not_read_again(trail: Trail) -> None:
    first = trail.ask(START, START + 3 * DAY)
    assert (first.exit_code, first.summary.logs.valid, unchanged(first)) == (0, 144, (0, 0))
    assert isinstance(first.state, StateRecord)
    assert first.state.created
    assert "The memory" not in str(first.relied_on)
    trail.read.clear()
    second = trail.ask(START, START + 3 * DAY, require_state=True)
    assert f"The memory {trail.state}, saved 20" in str(second.relied_on)
    assert (second.exit_code, second.summary.logs.valid, told(second)) == (0, 0, [])
    assert unchanged(second) == (72, 144)
    assert second.summary.covered_seconds == first.summary.covered_seconds
    assert trail.read["logs"] == 0
    assert trail.read["digests"] <= 2  # the context behind the window's end


def test_the_next_run_reads_what_is_new(trail: Trail) -> None:
    assert trail.ask(START, START + 2 * DAY).exit_code == 0
    trail.read.clear()
    report = trail.ask(START, START + 3 * DAY)
    assert (report.exit_code, report.summary.logs.valid, trail.read["logs"]) == (0, 50, 50)  # two for the link


def delete(trail: Trail) -> None:
    trail.logs(5)[0].unlink()


def alter(trail: Trail) -> None:
    path = trail.logs(5)[0]
    path.write_bytes(trail.logs(6)[0].read_bytes())


def plant(trail: Trail) -> None:
    path = trail.logs(5)[0]
    path.with_name(path.name[:-20] + "AAAAAAAA.json.gz").write_bytes(path.read_bytes())


def lose(trail: Trail) -> None:
    path = trail.digest(5)
    path.unlink()
    Path(f"{path}.metadata.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (delete, {"log-missing"}),
        (alter, {"log-altered"}),
        (plant, {"log-extra"}),
        (lose, {"digest-missing", "gap-broken", "log-undigested"}),
    ],
)
def test_what_changes_in_old_hours_is_found_and_healed_and_asked_for_until_then(
    trail: Trail, change: Callable[[Trail], None], rules: set[str], tmp_path: Path
) -> None:
    """The window is the last day alone; the change lies two days before it."""
    trail.ask(START, START + 3 * DAY)
    shutil.copytree(trail.folder, tmp_path / "kept")
    change(trail)
    for _ in range(2):
        report = trail.ask(START + 2 * DAY, START + 3 * DAY)
        assert (report.exit_code, set(told(report))) == (1, rules)
    shutil.rmtree(trail.folder)
    shutil.move(tmp_path / "kept", trail.folder)
    assert (trail.ask(START + 2 * DAY, START + 3 * DAY).exit_code) == 0
    trail.read.clear()
    last = trail.ask(START, START + 3 * DAY)
    assert (last.exit_code, told(last), trail.read["logs"]) == (0, [], 0)


def test_a_trail_that_was_replaced_as_a_whole_is_history_rewritten(trail: Trail) -> None:
    """Every check of the new chain passes; only the state knows that it is another."""
    assert trail.ask(START, START + 3 * DAY).exit_code == 0
    trail.write(seed=5, signer=1)
    alone = run(
        Request(START, START + 3 * DAY, source=trail.folder, public_keys=trail.keys),
        now=START + 3 * DAY + timedelta(minutes=40),
    ).report
    assert alone.exit_code == 0
    report = trail.ask(START + 2 * DAY, START + 3 * DAY)
    assert report.exit_code == 1
    found = [finding for finding in report.findings if finding.rule == "history-rewritten"]
    assert len(found) == 1
    assert all(finding.expected and finding.actual and finding.expected != finding.actual for finding in found)


def test_hours_between_two_windows_are_asked_for(trail: Trail) -> None:
    """As where the schedule failed for a day."""
    assert trail.ask(START, START + timedelta(hours=6)).exit_code == 0
    trail.logs(20)[0].unlink()
    report = trail.ask(START + 2 * DAY, START + 3 * DAY)
    assert (report.exit_code, told(report)) == (1, ["log-missing"])
    later = trail.ask(START + 2 * DAY, START + 3 * DAY)
    assert (later.exit_code, told(later)) == (1, ["log-missing"])


def test_only_as_far_back_as_asked_is_listed(trail: Trail) -> None:
    trail.ask(START, START + 3 * DAY)
    delete(trail)
    assert trail.ask(START + 2 * DAY, START + 3 * DAY, relist="1d").exit_code == 0
    assert trail.ask(START + 2 * DAY, START + 3 * DAY).exit_code == 1


@pytest.mark.parametrize(("recheck", "runs"), [("1/4", 4), ("25%", 4)])
def test_everything_is_read_again_within_so_many_runs(trail: Trail, recheck: str, runs: int) -> None:
    trail.ask(START, START + 3 * DAY)
    trail.read.clear()
    for _ in range(runs):
        assert trail.ask(START, START + 3 * DAY, recheck=recheck).exit_code == 0
    assert trail.read["logs"] >= 144
    assert trail.read["digests"] >= 72


def test_a_state_that_must_be_there_and_is_not_is_no_pass(trail: Trail) -> None:
    with pytest.raises(ConfigurationError, match="--require-state: there is no state"):
        trail.ask(START, START + 3 * DAY, require_state=True)
    assert not trail.state.exists()


def test_a_damaged_state_is_neither_used_nor_overwritten(trail: Trail) -> None:
    trail.ask(START, START + DAY)
    data = bytearray(trail.state.read_bytes())
    data[-1] ^= 1
    trail.state.write_bytes(data)
    with pytest.raises(ConfigurationError, match="is damaged"):
        trail.ask(START, START + DAY)
    assert trail.state.read_bytes() == data


def test_the_state_of_another_source_is_refused(trail: Trail, tmp_path: Path) -> None:
    trail.ask(START, START + DAY)
    other = Trail(tmp_path / "other")
    other.state = trail.state
    with pytest.raises(ConfigurationError, match="is the state of"):
        other.ask(START, START + DAY)


@pytest.mark.parametrize("place", ["a.state", "states/"])
def test_in_s3_beside_the_bucket(aws: AwsServer, tmp_path: Path, place: str) -> None:
    client = make_client("s3", aws.endpoint)
    for bucket in (BUCKET, "amzn-s3-demo-destination-bucket"):
        client.create_bucket(Bucket=bucket)
    with S3Sink(BUCKET, client) as sink:
        made = simulate(
            TrailSpec(bucket=BUCKET, start=START, hours=3, logs_per_hour=1, multi_region=False),
            sink,
            new_key=keys.source(0),
        )
    (tmp_path / "keys.json").write_text(made.keys.as_json())
    target = f"s3://amzn-s3-demo-destination-bucket/{place}"
    request = Request(START, made.manifest.end, bucket=BUCKET, public_keys=tmp_path / "keys.json", state=target)
    reports = [run(request, now=made.manifest.as_of).report for _ in range(2)]
    assert [report.exit_code for report in reports] == [0, 0]
    assert unchanged(reports[1]) == (3, 3)
