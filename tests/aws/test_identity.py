"""Who asks: profiles, roles, SSO, MFA, `aws login`, and what is said where there is nobody."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloudtrail_validate import AccessError, ConfigurationError, validate
from tests.aws.kit import REGION, trail_in
from tests.aws.test_ways_in import proven
from tests.cli.helpers import Answer, finish, start
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.servers.internet import Internet, Reply, Visit, portal, query_error, signin

if TYPE_CHECKING:
    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer

ROLE = "arn:aws:iam::123456789012:role/auditor"
DEVICE = "arn:aws:iam::123456789012:mfa/auditor"
KEYS = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
SSO = "sso_account_id = 123456789012\nsso_role_name = auditor\n"


@dataclass(frozen=True)
class World:
    """A trail, the net around it, and a home whose files say who asks."""

    trail: Trail
    net: Internet
    home: Path

    def config(self, text: str) -> None:
        (self.home / ".aws" / "config").write_text(text, "utf-8")

    def cached(self, folder: str = "cli/cache") -> list[dict[str, Any]]:
        """What the AWS CLI would find in its cache."""
        return [json.loads(path.read_text()) for path in (self.home / ".aws" / folder).glob("*.json")]

    def cache(self, folder: str, name: str, content: Any) -> None:
        (self.home / ".aws" / folder).mkdir(parents=True, exist_ok=True)
        (self.home / ".aws" / folder / f"{name}.json").write_text(json.dumps(content))

    def refused(self, kind: type[Exception] = ConfigurationError, **options: Any) -> str:
        """The one line that nothing was validated with."""
        with pytest.raises(kind) as caught:
            validate(self.trail.request(**options))
        line = str(caught.value)
        assert "\n" not in line
        assert "internal error" not in line
        return line

    def arguments(self, *more: str) -> list[str]:
        return ["--s3-bucket", self.trail.simulation.manifest.bucket, *self.trail.times(), *more]


@pytest.fixture
def world(net: Internet, aws_server: AwsServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """No credentials but those of the home's files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", REGION)
    return World(trail_in(net, aws_server), net, home)


# -- roles and the AWS CLI's cache ------------------------------------------------------------------------------------


def test_role_of_a_profile_fills_and_uses_the_cli_s_cache(world: World) -> None:
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
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
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
    proven(world.trail, profile="audit")
    world.net.visits.clear()
    command = [sys.executable, "-m", "awscli", "sts", "get-caller-identity", "--profile", "audit"]
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    assert [visit.operation for visit in world.net.visits] == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"Credentials": {}}', '{"Credentials": {"AccessKeyId": 1}}', "null"]
)
def test_a_cache_that_is_cut_short_is_passed_over(world: World, content: str) -> None:
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
    proven(world.trail, profile="audit")
    (path,) = (world.home / ".aws" / "cli" / "cache").glob("*.json")
    path.write_text(content)
    proven(world.trail, profile="audit")
    assert json.loads(path.read_text())["Credentials"]["AccessKeyId"]


def test_a_home_that_cannot_be_written_to(world: World) -> None:
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
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


# -- SSO --------------------------------------------------------------------------------------------------------------


def sign_in_to_sso(world: World, name: str, *, token: str = "token-of-the-login", hours: float = 8) -> None:  # noqa: S107  # no real one
    """Leave what `aws sso login` leaves: the token, named by the session or the start URL."""
    from hashlib import sha1

    expires = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = {"startUrl": "https://example.awsapps.com/start", "region": REGION, "accessToken": token}
    world.cache("sso/cache", sha1(name.encode()).hexdigest(), {**content, "expiresAt": expires})  # noqa: S324  # a name


SESSION = f"[sso-session example]\nsso_region = {REGION}\nsso_start_url = https://example.awsapps.com/start\n"
FORMATS = {
    "session": (f"[profile sso]\nsso_session = example\n{SSO}{SESSION}", "example"),
    "legacy": (
        f"[profile sso]\nsso_region = {REGION}\nsso_start_url = https://example.awsapps.com/start\n{SSO}",
        "https://example.awsapps.com/start",
    ),
}


@pytest.mark.parametrize(("config", "name"), FORMATS.values(), ids=FORMATS)
def test_sso_profile_fills_and_uses_the_cli_s_cache(world: World, config: str, name: str) -> None:
    world.net.answers.append(portal)
    world.config(config)
    sign_in_to_sso(world, name)
    proven(world.trail, profile="sso")
    (held,) = world.cached()
    assert held["ProviderType"] == "sso"
    assert held["Credentials"]["AccessKeyId"] == "ASIASSOEXAMPLE"
    assert len(world.net.visited("sso")) == 1
    proven(world.trail, profile="sso")
    assert len(world.net.visited("sso")) == 1


@pytest.mark.parametrize(("config", "name"), FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("left", ["nothing", "expired", "revoked"])
def test_sso_login_that_is_over(world: World, config: str, name: str, left: str) -> None:
    world.net.answers.append(portal)
    world.config(config)
    if left == "expired":
        sign_in_to_sso(world, name, hours=-1)
    elif left == "revoked":
        sign_in_to_sso(world, name, token="token-of-yesterday")
    line = world.refused(profile="sso")
    assert "the credentials have expired" in line
    assert "run aws sso login --profile sso" in line


def test_sso_login_that_is_over_behind_a_role(world: World) -> None:
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = sso\n{FORMATS['session'][0]}")
    assert "run aws sso login --profile sso" in world.refused(profile="audit")


# -- aws login --------------------------------------------------------------------------------------------------------

LOGIN = "arn:aws:iam::123456789012:user/auditor"


def log_in(world: World, *, minutes: float = 15, refresh: str = "refresh-token-of-the-login") -> None:
    """Leave what `aws login` leaves."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    token = {
        "accessToken": {
            "accessKeyId": "ASIACACHEDEXAMPLE",
            "secretAccessKey": SECRET_KEY,
            "sessionToken": "cached-session",
            "accountId": "123456789012",
            "expiresAt": (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "tokenType": "aws_sigv4",
        "refreshToken": refresh,
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": pem.decode(),
    }
    world.config(f"[profile login]\nlogin_session = {LOGIN}\nregion = {REGION}\n")
    world.cache("login/cache", sha256(LOGIN.encode()).hexdigest(), token)


def test_aws_login_profile(world: World) -> None:
    pytest.importorskip("awscrt")
    log_in(world)
    proven(world.trail, profile="login")
    assert {visit.access_key for visit in world.net.visited("s3")} == {"ASIACACHEDEXAMPLE"}


def test_aws_login_profile_is_refreshed(world: World) -> None:
    pytest.importorskip("awscrt")
    world.net.answers.append(signin)
    log_in(world, minutes=-5)
    proven(world.trail, profile="login")
    assert {visit.access_key for visit in world.net.visited("s3")} == {"ASIALOGINEXAMPLE"}
    (held,) = world.cached("login/cache")
    assert held["accessToken"]["accessKeyId"] == "ASIALOGINEXAMPLE"


def test_aws_login_that_is_over(world: World) -> None:
    pytest.importorskip("awscrt")
    world.net.answers.append(signin)
    log_in(world, minutes=-5, refresh="refresh-token-of-yesterday")
    line = world.refused(profile="login")
    assert "the credentials have expired" in line
    assert "run aws login --profile login" in line


def test_aws_login_without_the_crt(world: World) -> None:
    log_in(world)
    code = (
        "import sys; sys.modules['awscrt'] = None\n"
        "from cloudtrail_validate.cli import main\n"
        f"main({world.arguments('--profile', 'login')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 2
    assert "login_session of the profile login: needs the AWS CRT: pip install 'ctvalidate[login]'" in done.stderr


# -- MFA --------------------------------------------------------------------------------------------------------------

MFA = f"[profile mfa]\nrole_arn = {ROLE}\nsource_profile = base\nmfa_serial = {DEVICE}\n[profile base]\n{KEYS}"


def test_mfa_without_a_terminal(world: World) -> None:
    world.config(MFA)
    process = subprocess.run(
        [sys.executable, "-m", "cloudtrail_validate", *world.arguments("--profile", "mfa")],
        input="123456\n",  # what a pipe holds is no code that somebody typed
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
        start_new_session=True,  # no controlling terminal, as under cron
    )
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert DEVICE in line
    assert "there is no terminal" in line
    assert "aws sts get-caller-identity --profile mfa" in line
    assert not world.net.visited("sts")


def test_mfa_on_a_terminal_asks_once_and_fills_the_cli_s_cache(world: World) -> None:
    world.config(MFA)
    said = on_a_terminal(world.arguments("--profile", "mfa"), "123456\n")
    assert f"Enter MFA code for {DEVICE}" in said.out
    assert said.code in (0, 3)  # the trail ends before today
    (asked,) = [visit for visit in world.net.visits if visit.operation == "AssumeRole"]
    assert b"TokenCode=123456" in asked.body
    assert len(world.cached()) == 1
    proven(world.trail, profile="mfa")  # and nobody is asked again
    assert len([visit for visit in world.net.visits if visit.operation == "AssumeRole"]) == 1


def on_a_terminal(arguments: list[str], typed: str) -> Answer:
    """Run the command on a terminal of its own, and type once it asks."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "cloudtrail_validate", *arguments])  # noqa: S606  # ours
    seen, answered, deadline = b"", False, time.monotonic() + 60
    with contextlib.suppress(OSError):  # EIO: the other side has closed the terminal
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            piece = os.read(terminal, 4096)
            if not piece:
                break
            seen += piece
            if b"Enter MFA code" in seen and not answered:
                os.write(terminal, typed.encode())
                answered = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return Answer(os.waitstatus_to_exitcode(status), seen.decode("utf-8", "replace"), "")


# -- settings that are wrong ------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("config", [f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}"])
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
    world.config(f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "cannot connect to 127.0.0.1" in world.refused(AccessError)


# -- sessions of the caller -------------------------------------------------------------------------------------------


def test_a_session_is_taken_as_it_is(world: World) -> None:
    session = boto3.Session("AKIASESSIONEXAMPLE", SECRET_KEY, region_name=REGION)
    proven(world.trail, session=session, trail_arn=world.trail.arn)
    assert {visit.access_key for visit in world.net.visits} == {"AKIASESSIONEXAMPLE"}
    assert not world.cached()


def test_a_session_of_no_region_asks_in_the_trail_s(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """STS for the role of its profile, too."""
    monkeypatch.delenv("AWS_REGION")
    world.config(f"[profile audit]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}")
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
