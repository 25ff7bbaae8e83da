"""Worker processes that read S3: by the way that their parent has open, and by one of their own where that does not lead."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.core.executor import Auto, DaskCluster, LocalProcesses
from cloudtrail_validate.distribute import dispatch, elsewhere
from cloudtrail_validate.distribute.work import Credentials
from cloudtrail_validate.report.json import render
from cloudtrail_validate.stores.transfer import Route, Signature, Way
from tests.faults.helpers import BRISK, DIGESTS, LOGS, real, rules_of
from tests.servers import faults

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from tests.faults.helpers import Trail
    from tests.servers.proxy import FaultProxy

LOG = "/CloudTrail/.*json.gz$"


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each worker had botocore when its run was over. All logs are read by workers, few at a time."""
    told: list[bool] = []

    class Asked(elsewhere.LocalCluster):
        def close(self) -> None:
            asked = [self.executor.submit(_has, "botocore") for _ in range(self.workers)]
            told.extend(future.result(timeout=30) for future in asked)
            super().close()

    monkeypatch.setattr(elsewhere, "LocalCluster", Asked)
    monkeypatch.setattr(dispatch, "LARGE", 5)
    monkeypatch.setattr(dispatch, "REFERENCES_AT_LEAST", 3)
    return told


def alike(report: Report) -> dict[str, Any]:
    """The report without what differs from run to run."""
    document: dict[str, Any] = json.loads(render(report))
    for key in document["public_keys"]:
        del key["asked_at"]
    return {name: value for name, value in document.items() if name not in ("run", "relied_on")}


def test_they_say_what_one_process_says_and_need_no_boto3(
    trail: Trail, proxy: FaultProxy, imported: list[bool]
) -> None:
    alone = trail.run(executor="local:1").report
    asked = proxy.count("HEAD")
    proxy.reset_counters()
    report = trail.run(executor="local:2").report
    assert alike(report) == alike(alone)
    assert (report.exit_code, report.summary.logs.valid, report.summary.digests.valid) == (0, LOGS, DIGESTS - 1)
    assert imported == [False, False]
    assert proxy.count("HEAD") == asked  # nobody but the parent asks where the bucket lies


@pytest.mark.parametrize(
    "action", [faults.slow_down(), faults.Reset(), faults.Truncate(20), faults.expired_token()], ids=repr
)
def test_what_passes_leaves_no_trace(
    trail: Trail, proxy: FaultProxy, imported: list[bool], action: faults.Action
) -> None:
    rule = proxy.fault(action, first=1, path=LOG)
    report = trail.run(executor="local:2").report
    assert rule.fired == 1
    assert real(report) == []
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)
    assert len(imported) == 2


def test_credentials_that_s3_refuses_for_good(trail: Trail, proxy: FaultProxy, imported: list[bool]) -> None:
    """The way that was passed on is given up for one of the worker's own, which is refused as well."""
    proxy.fault(faults.expired_token(), path=LOG, method="GET")
    report = trail.run(BRISK, executor="local:2").report
    assert rules_of(report) == {"log-unreadable": LOGS}
    assert all("ExpiredToken" in finding.message for finding in real(report))
    assert (report.exit_code, report.summary.digests.valid) == (3, DIGESTS - 1)
    assert True in imported


@pytest.mark.parametrize(
    ("place", "signer", "passed"),
    [
        (Auto(), "AKIAIOSFODNN7EXAMPLE", 1),
        (LocalProcesses(2), "AKIAIOSFODNN7EXAMPLE", 1),
        (LocalProcesses(2), None, 1),
        (LocalProcesses(2), "AKIAI44QH8DHBEXAMPLE", 0),
        (DaskCluster("tcp://127.0.0.1:1"), "AKIAIOSFODNN7EXAMPLE", 0),
    ],
    ids=["auto", "local", "unsigned", "renewed since", "another machine"],
)
def test_which_ways_are_passed_on(place: Any, signer: str | None, passed: int) -> None:
    signature = Signature("us-east-1", signer, "secret") if signer else None
    way = Way("amzn-s3-demo-bucket", "https://s3.test", "https://s3.test/", Route("ca", signature=signature), True, 1.0)
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "secret", None)
    assert len(elsewhere._passable([way], credentials, place)) == passed


def _has(module: str) -> bool:
    return module in sys.modules
