"""Credentials that expire in the middle of a run are renewed once where that can be, and said to have expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from cloudtrail_validate import ConfigurationError, validate
from cloudtrail_validate.aws.session import Aws
from tests.aws.kit import KEYS, REGION, ROLE, THROUGH_ROLE, refusal
from tests.aws.test_ways_in import proven
from tests.faults.helpers import Trail
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Internet, Reply, Visit, api_error

if TYPE_CHECKING:
    from pathlib import Path


class Clockwork:
    """Refuses an access key from some request on."""

    def __init__(self, access_key: str) -> None:
        self.access_key = access_key
        self.refused = 0

    def __call__(self, visit: Visit) -> Reply | None:
        if visit.access_key != self.access_key or visit.place.service != "cloudtrail":
            return None
        self.refused += 1
        return api_error(400, "ExpiredTokenException", "The security token included in the request is expired")


@pytest.mark.usefixtures("without_keys")
def test_credentials_that_were_written_anew(net: Internet, trail: Trail, home: Path) -> None:
    """One refresh: the file of credentials has fresh ones by now."""
    file = home / ".aws" / "credentials"
    text = f"[default]\n{KEYS}aws_session_token = x\n"
    file.write_text(text)
    aws = Aws(attempts=1)
    client = aws.client("cloudtrail")
    client.describe_trails()
    expiry = Clockwork(ACCESS_KEY)
    net.answers.append(expiry)
    file.write_text(text.replace(ACCESS_KEY, "ASIAFRESHEXAMPLE"))
    client.describe_trails()
    assert expiry.refused == 1
    assert net.visits[-1].access_key == "ASIAFRESHEXAMPLE"
    assert aws.renew(ACCESS_KEY)
    assert not aws.renew("ASIAFRESHEXAMPLE")


def test_credentials_that_stay_expired_are_refreshed_once(net: Internet, trail: Trail) -> None:
    expiry = Clockwork(ACCESS_KEY)
    net.answers.append(expiry)
    line = refusal(trail, ConfigurationError, trail_arn=trail.arn)
    assert "the credentials have expired" in line
    assert expiry.refused == 1  # nothing else was at hand, so that nothing was asked again


def test_a_role_s_session_that_ends_early_is_renewed(net: Internet, trail: Trail) -> None:
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
    aws = Aws(session, role_arn=ROLE, attempts=1)
    client = aws.client("cloudtrail")
    client.describe_trails()
    expiry = Clockwork(net.visits[-1].access_key)
    net.answers.append(expiry)
    client.describe_trails()
    assert expiry.refused == 1
    assert net.visits[-1].access_key != expiry.access_key
    assert [visit.operation for visit in net.visits].count("AssumeRole") == 2


@pytest.mark.usefixtures("without_keys")
def test_a_cached_session_that_ends_early_is_renewed(net: Internet, trail: Trail, home: Path) -> None:
    """What the AWS CLI cached is not taken again once AWS has called it expired."""
    (home / ".aws" / "config").write_text(f"[profile audit]\n{THROUGH_ROLE}")
    proven(trail, profile="audit")
    expiry = Clockwork(net.visited("s3")[-1].access_key)
    net.answers.append(expiry)
    proven(trail, profile="audit", trail_arn=trail.arn)
    assert expiry.refused >= 1
    assert [visit.operation for visit in net.visits].count("AssumeRole") == 2


def test_keys_that_expired_meanwhile_are_no_finding_about_permissions(net: Internet, trail: Trail) -> None:
    def expired(visit: Visit) -> Reply | None:
        keys = visit.operation == "ListPublicKeys"
        return api_error(400, "ExpiredTokenException", "The token has expired.") if keys else None

    net.answers.append(expired)
    report = validate(trail.request())
    (message,) = {finding.message.rpartition(";")[2] for finding in report.findings if finding.cause is not None}
    assert message == " the credentials have expired: sign in again (such as by aws sso login), then run again."
