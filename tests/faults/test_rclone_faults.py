"""The same against an S3 server that checks signatures, and writes metadata names its own way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import ConfigurationError
from tests.faults.helpers import BRISK, LOGS, only, real, rules_of, write
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.helpers import Trail
    from tests.servers.proxy import FaultProxy
    from tests.servers.rclone import RcloneServer


@pytest.fixture
def signed(rclone: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> Trail:
    """The usual trail; the environment leads to it, and nowhere to a CloudTrail."""
    for name, value in rclone.env.items():
        monkeypatch.setenv(name, value)
    return write(rclone.client())


@pytest.fixture
def between(
    rclone: RcloneServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch, signed: Trail
) -> FaultProxy:
    """A proxy behind which signatures still fit."""
    made = fault_proxy(rclone.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
    return made


def test_signatures_are_right_for_every_request(signed: Trail, between: FaultProxy, tmp_path: Path) -> None:
    report = signed.run(public_keys=signed.keys_file(tmp_path)).report
    assert (report.exit_code, real(report), report.summary.logs.valid) == (0, [], LOGS)
    assert between.count("GET", r"json\.gz$") >= LOGS


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYWRONGKEYXX"), "SignatureDoesNotMatch"),
        (("AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE"), "InvalidAccessKeyId"),
    ],
)
def test_wrong_credentials_are_one_line(
    signed: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: tuple[str, str], code: str
) -> None:
    monkeypatch.setenv(*wrong)
    with pytest.raises(ConfigurationError) as caught:
        signed.run(public_keys=signed.keys_file(tmp_path))
    assert code in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "wJalrXUtnFEMI" not in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [faults.Truncate(60), faults.Reset(), faults.slow_down(), faults.Hang()],
    ids=lambda action: type(action).__name__,
)
def test_what_passes_leaves_no_trace(signed: Trail, between: FaultProxy, tmp_path: Path, action: faults.Action) -> None:
    places = (signed.logs[3], signed.digests[3], r"^/amzn-s3-demo-bucket/?$")
    rules = [
        between.fault(action, path=re.escape(place) if "json" in place else place, method="GET", first=1)
        for place in places
    ]
    report = signed.run(public_keys=signed.keys_file(tmp_path)).report
    assert [rule.fired for rule in rules] == [1, 1, 1]
    assert (report.exit_code, real(report)) == (0, [])


def test_what_lasts_is_named(signed: Trail, between: FaultProxy, tmp_path: Path) -> None:
    between.fault(faults.Truncate(60), path=re.escape(signed.logs[3]))
    report = signed.run(BRISK, public_keys=signed.keys_file(tmp_path)).report
    assert rules_of(report) == {"log-unreadable": 1}
    assert only(report, "log-unreadable").cause == "network"
    assert (report.exit_code, report.summary.logs.valid) == (3, LOGS - 1)


def test_a_deleted_object_is_missing_and_a_changed_one_altered(
    signed: Trail, rclone: RcloneServer, tmp_path: Path
) -> None:
    client = rclone.client()
    client.delete_object(Bucket="amzn-s3-demo-bucket", Key=signed.logs[2])
    other = client.get_object(Bucket="amzn-s3-demo-bucket", Key=signed.logs[5])["Body"].read()
    client.put_object(Bucket="amzn-s3-demo-bucket", Key=signed.logs[6], Body=other)
    report = signed.run(public_keys=signed.keys_file(tmp_path)).report
    assert rules_of(report) == {"log-missing": 1, "log-altered": 1}
    assert (only(report, "log-missing").key, only(report, "log-altered").key) == (signed.logs[2], signed.logs[6])
    assert report.exit_code == 1
