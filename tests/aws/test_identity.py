"""Who asks: profiles, roles and sessions, and what is said where there is nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cloudtrail_validate import AccessError, ConfigurationError, validate
from tests.aws.home import SSO, World
from tests.aws.kit import KEYS, REGION, ROLE, THROUGH_ROLE
from tests.aws.test_ways_in import proven
from tests.cli.helpers import finish, start
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Reply, Visit, query_error


def test_role_of_a_profile_fills_and_uses_the_cli_s_cache(world: World) -> None:
    world.config(f"[profile audit]\n{THROUGH_ROLE}")
    proven(world.trail, profile="audit")
    (held,) = world.cached()
    assert held["AssumedRoleUser"]["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/auditor/")
    assert {visit.access_key for visit in world.net.visited("s3")} == {held["Credentials"]["AccessKeyId"]}
    world.net.visits.clear()
    proven(world.trail, profile="audit")
    assert "AssumeRole" not in {visit.operation for visit in world.net.visits}
    assert {visit.access_key for visit in world.net.visited("s3")} == {held["Credentials"]["AccessKeyId"]}


def test_the_cli_reads_what_was_cached(world: World) -> None:
    """aws-cli's own code finds the same file: it asks for no role again."""
    world.config(f"[profile audit]\n{THROUGH_ROLE}")
    proven(world.trail, profile="audit")
    world.net.visits.clear()
    command = [sys.executable, "-m", "awscli", "sts", "get-caller-identity", "--profile", "audit"]
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    assert [visit.operation for visit in world.net.visits] == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"Credentials": {}}', '{"Credentials": {"AccessKeyId": 1}}', "null"]
)
def test_a_cache_that_is_cut_short_is_passed_over(world: World, content: str) -> None:
    world.config(f"[profile audit]\n{THROUGH_ROLE}")
    proven(world.trail, profile="audit")
    (path,) = (world.home / ".aws" / "cli" / "cache").glob("*.json")
    path.write_text(content)
    proven(world.trail, profile="audit")
    assert json.loads(path.read_text())["Credentials"]["AccessKeyId"]


def test_a_home_that_cannot_be_written_to(world: World) -> None:
    world.config(f"[profile audit]\n{THROUGH_ROLE}")
    (world.home / ".aws" / "cli").write_text("a file where a folder should be")
    proven(world.trail, profile="audit")


def test_role_of_the_command_line(world: World) -> None:
    world.config(f"[default]\n{KEYS}")
    report = proven(world.trail, role_arn=ROLE, external_id="tail-of-a-string")
    assert report.run.caller_arn == "arn:aws:sts::123456789012:assumed-role/auditor/ctvalidate"


def test_role_with_web_identity(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = world.home / "token"
    token.write_text("a-token-of-the-cluster")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    proven(world.trail)
    assert "AssumeRoleWithWebIdentity" in {visit.operation for visit in world.net.visits}


def test_credential_process(world: World) -> None:
    answer = {"Version": 1, "AccessKeyId": "AKIAPROCESSEXAMPLE", "SecretAccessKey": SECRET_KEY}
    world.config(f"[default]\ncredential_process = echo '{json.dumps(answer)}'\n")
    proven(world.trail)
    assert {visit.access_key for visit in world.net.visited("s3")} == {"AKIAPROCESSEXAMPLE"}


WRONG = {
    "no such program": (
        "[default]\ncredential_process = /no/such/program --json\n",
        "credential_process of the profile default: cannot run '/no/such/program': No such file",
    ),
    "program without words": ("[default]\ncredential_process = false\n", "credential_process of the profile default"),
    "program that prints none": (
        "[default]\ncredential_process = echo hello\n",
        "credential_process of the profile default: expected JSON",
    ),
    "program that prints an old version": (
        "[default]\ncredential_process = echo '{\"Version\": 2}'\n",
        "credential_process of the profile default: Unsupported version",
    ),
    "program with an open quote": ("[default]\ncredential_process = echo 'x\n", "credential_process of the profile"),
    "no token file": (
        f"[default]\nrole_arn = {ROLE}\nweb_identity_token_file = /no/such/token\n",
        "web_identity_token_file of the profile default: cannot read '/no/such/token': No such file",
    ),
    "a circle of two": (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n[profile b]\nrole_arn = {ROLE}\nsource_profile = default\n",
        "source_profile: the profiles lead in a circle",
    ),
    "a circle of one": (f"[default]\nrole_arn = {ROLE}\nsource_profile = default\n", "source_profile"),
    "no source profile": (f"[default]\nrole_arn = {ROLE}\nsource_profile = moon\n", 'source_profile "moon"'),
    "no source at all": (f"[default]\nrole_arn = {ROLE}\n", "source_profile or credential_source"),
    "a source without credentials": (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n[profile b]\nregion = eu-west-1\n",
        'source profile "b" must have credentials',
    ),
    "a source that is none": (f"[default]\nrole_arn = {ROLE}\ncredential_source = Moon\n", 'credential source "Moon"'),
    "half a key": (f"[default]\naws_access_key_id = {ACCESS_KEY}\n", "aws_secret_access_key"),
    "SSO without a role": (
        "[default]\nsso_session = example\n",
        "AWS profile default: has sso_session and lacks sso_account_id and sso_role_name",
    ),
    "SSO without its session": (f"[default]\nsso_session = example\n{SSO}", "sso-session"),
    "no INI file": ("[default\n", "AWS_CONFIG_FILE: Unable to parse config file"),
    "nothing": ("", "no AWS credentials found: set AWS_PROFILE"),
}


@pytest.mark.parametrize(("config", "says"), WRONG.values(), ids=WRONG)
def test_a_setting_that_is_wrong_is_named(world: World, config: str, says: str) -> None:
    world.config(config)
    assert says in world.refused()
    assert not world.net.visited("s3")


def test_a_profile_that_is_not_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.config(f"[profile audit]\n{KEYS}[profile base]\n{KEYS}")
    line = world.refused(profile="audti")
    assert line == "--profile: there is no profile 'audti'; there are audit, base"
    monkeypatch.setenv("AWS_PROFILE", "audti")
    assert world.refused().startswith("AWS_PROFILE: there is no profile 'audti'")


def test_the_environment_s_token_file_is_not_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")
    line = world.refused()
    assert line.startswith("AWS_WEB_IDENTITY_TOKEN_FILE: cannot read '/no/such/token': No such file")


@pytest.mark.parametrize("config", [f"[default]\n{THROUGH_ROLE}"])
@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("AccessDenied", ConfigurationError, f"allow sts:AssumeRole on {ROLE}"),
        ("InvalidClientTokenId", ConfigurationError, "the credentials are not valid"),
        ("ExpiredToken", ConfigurationError, "the credentials have expired"),
        ("SignatureDoesNotMatch", ConfigurationError, "the credentials are not valid"),
        ("RequestExpired", ConfigurationError, "the credentials have expired"),
        ("ServiceUnavailable", AccessError, "AWS kept asking for fewer requests"),
    ],
)
def test_a_role_that_is_refused(world: World, config: str, code: str, kind: type[Exception], says: str) -> None:
    def refuse(visit: Visit) -> Reply | None:
        return query_error(403, code, "No.") if visit.operation == "AssumeRole" else None

    world.config(config)
    world.net.answers.append(refuse)
    line = world.refused(kind)
    assert says in line
    assert f"role_arn of the profile default: cannot assume {ROLE}" in line


def test_sts_that_cannot_be_reached(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.config(f"[default]\n{THROUGH_ROLE}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "cannot connect to 127.0.0.1" in world.refused(AccessError)


def test_a_session_is_taken_as_it_is(world: World) -> None:
    session = boto3.Session("AKIASESSIONEXAMPLE", SECRET_KEY, region_name=REGION)
    proven(world.trail, session=session, trail_arn=world.trail.arn)
    assert {visit.access_key for visit in world.net.visits} == {"AKIASESSIONEXAMPLE"}
    assert not world.cached()


def test_a_session_of_no_region_asks_in_the_trail_s(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """STS for the role of its profile, too."""
    monkeypatch.delenv("AWS_REGION")
    world.config(f"[profile audit]\n{THROUGH_ROLE}")
    proven(world.trail, session=boto3.Session(profile_name="audit"), trail_arn=world.trail.arn)
    assert {visit.place.region for visit in world.net.visits} == {REGION}


def test_a_session_assumes_the_role_of_the_request(world: World) -> None:
    session = boto3.Session("AKIASESSIONEXAMPLE", SECRET_KEY, region_name=REGION)
    report = proven(world.trail, session=session, role_arn=ROLE)
    assert report.run.caller_arn == "arn:aws:sts::123456789012:assumed-role/auditor/ctvalidate"
    found = session.get_credentials()
    assert found is not None
    assert found.access_key == "AKIASESSIONEXAMPLE"


def test_a_session_without_credentials(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no AWS credentials found"):
        validate(world.trail.request(), session=boto3.Session())


def test_a_broken_session_is_a_configuration_error(world: World) -> None:
    world.config("[profile audit]\ncredential_process = /no/such/program\n")
    with pytest.raises(ConfigurationError, match="credential_process of the profile audit"):
        validate(world.trail.request(), session=boto3.Session(profile_name="audit"))
    with pytest.raises((BotoCoreError, ClientError, OSError)):  # what boto3 itself makes of it
        boto3.Session(profile_name="audit").client("s3").list_buckets()


def test_the_command_says_it_on_one_line(world: World) -> None:
    world.config("[default]\ncredential_process = /no/such/program\n")
    answer = finish(start(*world.arguments(), env=dict(os.environ)))
    assert (answer.code, answer.out) == (2, "")
    assert answer.line.startswith("ctvalidate: credential_process of the profile default: cannot run")
