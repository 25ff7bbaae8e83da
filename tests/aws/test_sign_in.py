"""Who has signed in: SSO, `aws login` and MFA, with the AWS CLI's caches."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.aws.home import SSO, World
from tests.aws.kit import KEYS, REGION, ROLE
from tests.aws.test_ways_in import proven
from tests.cli.helpers import Answer
from tests.servers.clients import SECRET_KEY
from tests.servers.internet import portal, signin

DEVICE = "arn:aws:iam::123456789012:mfa/auditor"


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
