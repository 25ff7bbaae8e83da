"""S3 that fails: what passes is waited for, what lasts is named, and neither is ever taken for tampering."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import AccessError
from cloudtrail_validate.stores.s3 import Patience
from tests.faults.helpers import DIGESTS, LOGS, only, real, rules_of
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.report import Report
    from tests.faults.helpers import Trail
    from tests.servers.proxy import FaultProxy

BRISK = Patience(connect=2.0, read=0.4, retries=1, give_up=1.0)
CHANGED = {"altered", "missing", "extra"}

PASSING = {
    "503": faults.slow_down(),
    "500": faults.internal_error(),
    "reset": faults.Reset(),
    "truncated": faults.Truncate(50),
    "slow body": faults.Dribble(50, 0.6, 100_000),
    "hang": faults.Hang(),
}
LASTING = {
    "503": (faults.slow_down(), "throttled"),
    "500": (faults.internal_error(), "network"),
    "reset": (faults.Reset(), "network"),
    "truncated": (faults.Truncate(50), "network"),
    "slow body": (faults.Dribble(50, 0.6, 100_000), "network"),
    "hang": (faults.Hang(), "network"),
    "403": (faults.access_denied(), "access-denied"),
    "kms": (faults.kms_denied(), "kms-denied"),
    "archived": (faults.archived(), "archived"),
    "expired": (faults.expired_token(), "access-denied"),
}
lasting = pytest.mark.parametrize(("action", "cause"), LASTING.values(), ids=LASTING.keys())


def a_log(trail: Trail) -> dict[str, str]:
    return {"path": re.escape(trail.logs[4])}


def a_digest(trail: Trail) -> dict[str, str]:
    return {"path": re.escape(trail.digests[3])}


def digest_listing(_: Trail) -> dict[str, str]:
    return {"query": "list-type=2.*prefix=AWSLogs/[0-9]+/CloudTrail-Digest/us-east-1"}


def log_listing(_: Trail) -> dict[str, str]:
    return {"query": "list-type=2.*prefix=AWSLogs/[0-9]+/CloudTrail/us-east-1"}


def regions(_: Trail) -> dict[str, str]:
    return {"query": "delimiter=/.*prefix=AWSLogs/[0-9]+/CloudTrail-Digest/($|&)"}


def accounts(_: Trail) -> dict[str, str]:
    return {"query": "delimiter=/.*prefix=AWSLogs/($|&)"}


def bucket_region(_: Trail) -> dict[str, str]:
    return {"method": "HEAD"}


def unchanged(report: Report) -> None:
    """Nothing that failed is said to be altered, missing or extra."""
    assert not {finding.status for finding in report.findings} & CHANGED
    for counts in (report.summary.digests, report.summary.logs):
        assert (counts.altered, counts.missing, counts.extra) == (0, 0, 0)


@pytest.mark.parametrize("action", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("place", [a_log, a_digest, digest_listing, log_listing, regions, accounts, bucket_region])
def test_what_passes_leaves_no_trace(
    trail: Trail, proxy: FaultProxy, place: Callable[[Trail], dict[str, str]], action: faults.Action
) -> None:
    rule = proxy.fault(action, first=1, **place(trail))
    report = trail.run().report
    assert rule.fired == 1
    assert real(report) == []
    assert (report.exit_code, report.summary.logs.valid, report.summary.digests.valid) == (0, LOGS, DIGESTS - 1)


@lasting
def test_a_log_that_cannot_be_read(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, **a_log(trail))
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": 1}
    finding = only(report, "log-unreadable")
    assert (finding.key, finding.cause) == (trail.logs[4], cause)
    assert (report.exit_code, report.summary.logs.valid, report.summary.logs.unverifiable) == (3, LOGS - 1, 1)


@lasting
def test_a_digest_that_cannot_be_read(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, **a_digest(trail))
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"digest-unreadable": 1, "gap-broken": 1, "log-undigested": 2}
    finding = only(report, "digest-unreadable")
    assert (finding.key, finding.cause) == (trail.digests[3], cause)
    assert (report.exit_code, report.summary.digests.unverifiable) == (3, 1)
    assert (report.summary.digests.valid, report.summary.logs.valid) == (DIGESTS - 2, LOGS - 2)


@lasting
def test_digests_that_cannot_be_listed(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, **digest_listing(trail))
    report = trail.run(BRISK).report
    unchanged(report)
    assert {finding.cause for finding in report.findings if finding.rule == "digest-unreadable"} == {cause}
    assert report.exit_code == 3
    assert report.summary.covered_seconds == 0


@lasting
def test_logs_that_cannot_be_listed_are_read_all_the_same(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, **log_listing(trail))
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": 1}
    assert only(report, "log-unreadable").cause == cause
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS)


@lasting
def test_a_bucket_that_cannot_be_listed_is_one_line(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, query="list-type=2")
    with pytest.raises(AccessError) as caught:
        trail.run(BRISK)
    message = str(caught.value)
    assert message.startswith("cannot list s3://amzn-s3-demo-bucket/ (")
    assert "\n" not in message
    assert ("s3:ListBucket" if cause == "access-denied" else cause) in message


@lasting
def test_nothing_below_the_accounts_can_be_listed(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, query="list-type=2.*prefix=AWSLogs/[0-9]+")
    report = trail.run(BRISK).report
    unchanged(report)
    assert {finding.cause for finding in real(report)} == {cause}
    assert report.exit_code == 3  # and not 4: that no digest was seen does not mean that there is none


def test_credentials_that_expire_on_the_way(trail: Trail, proxy: FaultProxy) -> None:
    proxy.fault(faults.expired_token(), path="/CloudTrail/", method="GET")
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": LOGS}
    assert "ExpiredToken" in only_one_message(report)
    assert (report.exit_code, report.summary.digests.valid) == (3, DIGESTS - 1)


def only_one_message(report: Report) -> str:
    """What the findings say, the object apart."""
    (message,) = {finding.message.replace(finding.key or "", "KEY") for finding in real(report)}
    return message


def test_a_storm_of_passing_faults(trail: Trail, proxy: FaultProxy) -> None:
    for number, action in enumerate((faults.slow_down(), faults.Reset(), faults.Truncate(20), faults.internal_error())):
        proxy.fault(action, path="json.gz$", probability=0.2, seed=number)
    report = trail.run(Patience(connect=2.0, read=2.0, retries=12, give_up=20.0)).report
    assert real(report) == []
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)


def test_tampering_is_seen_beside_a_failure(
    trail: Trail, proxy: FaultProxy, aws_bytes: Callable[[str, bytes], None]
) -> None:
    aws_bytes(trail.logs[0], b"not what AWS wrote")
    proxy.fault(faults.internal_error(), path=re.escape(trail.logs[9]))
    report = trail.run(BRISK).report
    assert rules_of(report) == {"log-malformed": 1, "log-unreadable": 1}
    assert report.exit_code == 1


def test_an_object_behind_an_archive_is_as_simulated(trail: Trail, proxy: FaultProxy) -> None:
    for key in trail.logs[2:4]:
        proxy.fault(faults.archived("DEEP_ARCHIVE"), path=re.escape(key))
    report = trail.run().report
    assert {finding.cause for finding in real(report)} == {"archived"}
    assert "restore-object" in only_one_message(report)
    assert report.summary.logs.unverifiable == 2
