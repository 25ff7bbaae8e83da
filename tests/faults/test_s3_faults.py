"""S3 that fails: what passes is waited for, what lasts is named, and neither is ever taken for tampering."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate import AccessError, ConfigurationError
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.evidence.prove_file import prove_file
from cloudtrail_validate.runtime.limits import Timeouts
from tests.faults.every import CUSTOMER_KEY
from tests.faults.helpers import BRISK, BUCKET, DIGESTS, LOGS, only, real, rules_of
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.report import Report
    from tests.faults.helpers import Trail
    from tests.servers.proxy import FaultProxy

CHANGED = {"altered", "missing", "extra"}

PASSING = {
    "503": faults.slow_down(),
    "500": faults.internal_error(),
    "reset": faults.Reset(),
    "truncated": faults.Truncate(50),
    "slow body": faults.Dribble(50, 1.2, 100_000),
    "hang": faults.Hang(),
}
LASTING = {
    "503": (faults.slow_down(), "throttled"),
    "500": (faults.internal_error(), "network"),
    "reset": (faults.Reset(), "network"),
    "truncated": (faults.Truncate(50), "network"),
    "slow body": (faults.Dribble(50, 1.2, 100_000), "network"),
    "hang": (faults.Hang(), "network"),
    "403": (faults.access_denied(), "access-denied"),
    "kms": (faults.kms_denied(), "kms-denied"),
    "archived": (faults.archived(), "archived"),
    "expired": (faults.expired_token(), "access-denied"),
}
lasting = pytest.mark.parametrize(("action", "cause"), LASTING.values(), ids=LASTING.keys())
some = pytest.mark.parametrize(
    ("action", "cause"),
    [LASTING[name] for name in ("503", "truncated", "403", "expired")],
    ids=lambda value: str(value)[:9],
)

DIGEST_LISTING: dict[str, Any] = {"query": "list-type=2.*prefix=AWSLogs/[0-9]+/CloudTrail-Digest/us-east-1"}
LOG_LISTING: dict[str, Any] = {"query": "list-type=2.*prefix=AWSLogs/[0-9]+/CloudTrail/us-east-1"}
BELOW_THE_ACCOUNTS: dict[str, Any] = {"query": "list-type=2.*prefix=AWSLogs/[0-9]+"}


def a_log(trail: Trail) -> dict[str, Any]:
    return {"path": re.escape(trail.logs[4])}


def a_digest(trail: Trail) -> dict[str, Any]:
    return {"path": re.escape(trail.digests[2])}


def everywhere(trail: Trail) -> list[dict[str, Any]]:
    """Each sort of request that a run makes of S3: one of each."""
    levels = ("AWSLogs/", "AWSLogs/[0-9]+/CloudTrail-Digest/", "AWSLogs/[0-9]+/CloudTrail/")
    listings: list[dict[str, Any]] = [{"query": f"delimiter=/.*prefix={level}($|&)"} for level in levels]
    return [a_log(trail), a_digest(trail), DIGEST_LISTING, LOG_LISTING, *listings, {"method": "HEAD"}]


def unchanged(report: Report) -> None:
    """Nothing that failed is said to be altered, missing or extra."""
    assert not {finding.status for finding in report.findings} & CHANGED
    for counts in (report.summary.digests, report.summary.logs):
        assert (counts.altered, counts.missing, counts.extra) == (0, 0, 0)


def messages(report: Report) -> set[str]:
    """What the findings say, the object apart."""
    return {finding.message.replace(finding.key or "", "KEY") for finding in real(report)}


@pytest.mark.parametrize("action", PASSING.values(), ids=PASSING.keys())
def test_what_passes_leaves_no_trace(trail: Trail, proxy: FaultProxy, action: faults.Action) -> None:
    rules = [proxy.fault(action, first=1, **place) for place in everywhere(trail)]
    report = trail.run().report
    assert [rule.fired for rule in rules] == [1] * len(rules)
    assert real(report) == []
    assert (report.exit_code, report.summary.logs.valid, report.summary.digests.valid) == (0, LOGS, DIGESTS - 1)


@lasting
def test_objects_that_cannot_be_read(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, **a_log(trail))
    proxy.fault(action, **a_digest(trail))
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": 1, "digest-unreadable": 1, "gap-broken": 1, "log-undigested": 2}
    log, digest, gap = (only(report, rule) for rule in ("log-unreadable", "digest-unreadable", "gap-broken"))
    assert (log.key, log.cause, digest.key, digest.cause) == (trail.logs[4], cause, trail.digests[2], cause)
    assert (gap.start, gap.end) == (digest.start, digest.end)
    assert (report.exit_code, report.summary.digests.valid, report.summary.logs.valid) == (3, DIGESTS - 2, LOGS - 3)


@some
def test_digests_that_cannot_be_listed(trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str) -> None:
    proxy.fault(action, **DIGEST_LISTING)
    report = trail.run(BRISK).report
    unchanged(report)
    assert {finding.cause for finding in report.findings if finding.rule == "digest-unreadable"} == {cause}
    assert (report.exit_code, report.summary.covered_seconds) == (3, 0)


@some
def test_logs_that_cannot_be_listed_are_read_all_the_same(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, **LOG_LISTING)
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": 1}
    assert only(report, "log-unreadable").cause == cause
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS)


@some
def test_a_bucket_that_cannot_be_listed_is_one_line(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, query="list-type=2")
    with pytest.raises((AccessError, ConfigurationError)) as caught:
        trail.run(BRISK)
    message = str(caught.value)
    assert message.startswith("cannot list s3://amzn-s3-demo-bucket/")
    assert "\n" not in message
    expired = "the credentials have expired" in message
    assert expired or ("s3:ListBucket" if cause == "access-denied" else cause) in message


@pytest.mark.parametrize(("action", "cause"), [LASTING["reset"], LASTING["403"]], ids=["reset", "403"])
def test_nothing_below_the_accounts_can_be_listed(
    trail: Trail, proxy: FaultProxy, action: faults.Action, cause: str
) -> None:
    proxy.fault(action, **BELOW_THE_ACCOUNTS)
    report = trail.run(BRISK).report
    unchanged(report)
    assert {finding.cause for finding in real(report)} == {cause}
    assert report.exit_code == 3  # and not 4: that no digest was seen does not mean that there is none


def test_credentials_that_expire_on_the_way(trail: Trail, proxy: FaultProxy) -> None:
    proxy.fault(faults.expired_token(), path="/CloudTrail/", method="GET")
    report = trail.run(BRISK).report
    unchanged(report)
    assert rules_of(report) == {"log-unreadable": LOGS}
    assert all("ExpiredToken" in message for message in messages(report))
    assert (report.exit_code, report.summary.digests.valid) == (3, DIGESTS - 1)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (faults.archived("DEEP_ARCHIVE"), "restore-object"),
        (faults.kms_denied(), "allow kms:Decrypt"),
        (faults.access_denied(), "allow s3:GetObject"),
        (faults.slow_down(), "throttled"),
    ],
    ids=["archived", "kms", "denied", "throttled"],
)
def test_the_message_says_what_to_do(trail: Trail, proxy: FaultProxy, action: faults.Action, words: str) -> None:
    proxy.fault(action, **a_log(trail))
    (message,) = messages(trail.run(BRISK).report)
    assert words in message


def test_a_storm_of_passing_faults(trail: Trail, proxy: FaultProxy) -> None:
    actions: list[faults.Action] = [faults.slow_down(), faults.Reset(), faults.Truncate(20), faults.internal_error()]
    for number, action in enumerate(actions):
        proxy.fault(action, path="json.gz$", probability=0.15, seed=number)
    report = trail.run(Timeouts(connect=2.0, read=2.0, retries=12, give_up=20.0)).report
    assert real(report) == []
    assert (report.exit_code, report.summary.logs.valid) == (0, LOGS)


def test_tampering_is_seen_beside_a_failure(
    trail: Trail, proxy: FaultProxy, overwrite: Callable[[str, bytes], None]
) -> None:
    overwrite(trail.logs[0], b"not what AWS wrote")
    proxy.fault(faults.internal_error(), path=re.escape(trail.logs[9]))
    report = trail.run(BRISK).report
    assert rules_of(report) == {"log-malformed": 1, "log-unreadable": 1}
    assert report.exit_code == 1


def test_one_file_that_wants_a_customers_key_is_altered_as_in_a_whole_run(trail: Trail, proxy: FaultProxy) -> None:
    proxy.fault(faults.s3_error(400, "InvalidRequest", CUSTOMER_KEY), **a_log(trail))
    proof = prove_file(trail.request(), Locator(BUCKET, trail.logs[4]), now=trail.simulation.manifest.as_of)
    assert (proof.rule, int(proof.exit_code)) == ("log-altered", 1)
    assert only(trail.run().report, "log-altered").key == trail.logs[4]
