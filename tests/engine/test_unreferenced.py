"""Files that no digest names: what might name them is read once, and where it cannot be read nobody is accused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import Request, run
from cloudtrail_validate.stores.local import Local
from tests.faults.helpers import BRISK
from tests.scenarios import stores, vector, world
from tests.scenarios.vector import BUCKET, StoreCase
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cloudtrail_validate import Report
    from cloudtrail_validate.core.gzip import Inflater
    from cloudtrail_validate.core.model import Locator
    from tests.scenarios.world import World
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

LATE = "{logs}2026/01/01/123456789012_CloudTrail_us-east-1_20260101T0130Z_AAAAAAAAAAAAAAAA.json.gz"


def late_log() -> World:
    """A log of the first hour that a backfill digest names whose own hours lie three days later."""
    named = {"do": "name", "key": "{backfill 3}", "logs": [LATE]}
    put = {"do": "put", "key": LATE, "text": "{}", "at": "2026-01-01T01:30:00Z"}
    trail = {"accounts": ["123456789012"], "late_logs": 20, "hours": 120}
    return world.build(vector.of(trail=trail, edits=[put, named], run={"end": "2026-01-01T03:00:00Z"}))


@pytest.fixture
def asked(
    aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[World, FaultProxy, Callable[[], Report]]:
    """The trail with the late log on moto, what stands before it, and how to validate the window."""
    made, proxy = late_log(), fault_proxy(aws.endpoint)
    stores.provide_keys(made, tmp_path / "keys.json", None)
    stores.in_moto(made, aws, StoreCase())
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

    def ask() -> Report:
        keys, window = tmp_path / "keys.json", made.vector.run
        request = Request(made.start, window.end, made.spec.trail_arn, BUCKET, public_keys=keys, concurrency=16)
        return run(request, now=made.now, timeouts=BRISK).report

    return made, proxy, ask


def told(report: Report) -> list[tuple[str, str | None]]:
    return [(finding.rule, finding.cause) for finding in report.findings]


def test_a_late_log_is_found_in_a_digest_of_days_later(
    asked: tuple[World, FaultProxy, Callable[[], Report]],
) -> None:
    _, _, ask = asked
    assert (ask().exit_code, told(ask())) == (0, [])


def test_a_digest_that_might_name_it_and_fails_is_no_accusation(
    asked: tuple[World, FaultProxy, Callable[[], Report]],
) -> None:
    made, proxy, ask = asked
    proxy.fault(faults.Reset(), path=made.key("{backfill 3}") + "$")
    report = ask()
    assert told(report) == [("digest-unreadable", "network"), ("log-undigested", None)]
    assert report.exit_code == 3


def test_a_listing_of_later_digests_that_fails_is_no_accusation(
    asked: tuple[World, FaultProxy, Callable[[], Report]],
) -> None:
    _, proxy, ask = asked
    proxy.fault(faults.Reset(), query="start-after=.*CloudTrail-Digest/us-east-1/2025/11/2")
    report = ask()
    assert told(report) == [("digest-unreadable", "network"), ("log-undigested", None)]
    assert report.exit_code == 3


def test_no_digest_is_read_again_for_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()
    digest = Local.digest

    async def counted(
        store: Local, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        read[where.key] += 1
        return await digest(store, where, size, etag)

    monkeypatch.setattr(Local, "digest", counted)
    planted = {"do": "put", "key": LATE.replace("123456789012", "111122223333"), "text": "{}"}
    made = world.build(vector.of(trail={"hours": 40}, edits=[planted]))
    stores.provide_keys(made, tmp_path / "keys.json", None)
    report = stores.ask(made, stores.in_folder(made, tmp_path / "trail", sidecars=True), tmp_path / "keys.json")
    assert told(report) == [("log-extra", None)]
    assert set(read.values()) == {1}


def test_of_later_digests_only_those_that_may_name_it_are_read(aws: AwsServer, tmp_path: Path) -> None:
    """A late log may be named by any digest from its name's hour to the hour in which it came, and by none after that."""
    put = {"do": "put", "key": LATE, "text": "{}", "at": "2026-01-02T01:30:00Z"}
    made = world.build(
        vector.of(trail={"accounts": ["123456789012"], "hours": 72}, edits=[put], run={"end": "2026-01-01T03:00:00Z"})
    )
    stores.provide_keys(made, tmp_path / "keys.json", None)
    place = stores.in_moto(made, aws, StoreCase())
    aws.calls.clear()
    assert told(stores.ask(made, place, tmp_path / "keys.json")) == [("log-extra", None)]
    window, context, until_it_came, beside, logs = 3, 2, 24, 2, 4
    assert aws.calls["s3:GetObject", "us-east-1"] <= window + context + until_it_came + beside + logs


@pytest.mark.parametrize("region", ["a b", "US-EAST-1", "é", "evil.com", "x" * 100])
def test_a_folder_that_is_no_region_is_told_and_no_error(aws: AwsServer, tmp_path: Path, region: str) -> None:
    key = f"{{root}}CloudTrail/{region}/2026/01/01/123456789012_CloudTrail_us-east-1_20260101T0230Z_AAAAAAAAAAAAAAAA"
    edits = [{"do": "put", "key": f"{key}.json.gz", "text": "{}", "at": "2026-01-01T02:30:00Z"}]
    made = world.build(vector.of(trail={"accounts": ["123456789012"]}, edits=edits, keys={"source": "aws"}))
    stores.provide_keys(made, tmp_path / "keys.json", aws)
    report = stores.ask(made, stores.in_moto(made, aws, StoreCase()), tmp_path / "keys.json")
    assert report.exit_code == 3
    assert [finding.rule for finding in report.findings] == ["log-undigested", "chain-absent"]
    assert not any("internal error" in finding.message for finding in report.findings)
