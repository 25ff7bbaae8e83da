"""`--debug` writes a log of what was done, with objects and findings and without a secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from cloudtrail_validate.cli import debugging
from tests.cli.helpers import call, spawn

SOURCE: Final = ("--source", ".", "--start-time", "2026-01-01", "--end-time", "2026-01-02")

SECRETS: Final = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLETOKEN",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "CTVALIDATE_WEBHOOK_SECRET": "hush-hush-hush",
    "CTVALIDATE_HEARTBEAT": "https://beat.example/ping/0a1b2c3d4e",
    "HTTPS_PROXY": "http://user:hunter2hunter2@proxy.example:3128",
}


def test_a_log_tells_what_was_done_and_no_secret(tmp_path: Path) -> None:
    env = {**os.environ, **SECRETS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    given = ("--external-id", "s3cr3t-id", "--role-arn", "arn:aws:iam::111122223333:role/x")
    done = spawn("--debug", "run.log", *SOURCE, *given, cwd=tmp_path, env=env)
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert (tmp_path / "run.log").stat().st_mode & 0o777 == 0o600
    assert "ctvalidate 0.1.0" in log
    assert "--source . --start-time 2026-01-01" in log
    assert "AWS_SECRET_ACCESS_KEY" in log  # that it is set, and nothing of what it is
    assert "exit code" in log or "ended by" in log
    assert done.code in (2, 3)
    for secret in (*SECRETS.values(), "s3cr3t-id", "hunter2hunter2"):
        assert secret not in log


def test_the_log_names_objects_and_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "demo", "--keep", "demo", "--debug").code == 0
    first = (tmp_path / debugging.DEFAULT).read_text(encoding="utf-8")
    assert "exit code 0" in first
    where = ("--source", "demo/trail", "--public-keys", "demo/keys.json")
    window = ("--start-time", "2026-01-01", "--end-time", "2026-01-03")
    assert call(capsys, *where, *window, "--debug=second.log", "-q").code == 1
    log = (tmp_path / "second.log").read_text(encoding="utf-8")
    assert "found altered log-altered" in log
    assert "checked digest AWSLogs/" in log
    assert not debugging.active()


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLEX",
        "X-Amz-Security-Token: IQoJb3JpZ2lu",
        "x-amz-signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101",
        '"Password": "open sesame"',
        "https://user:pass@proxy.example/",
        "externalId=shibboleth",
    ],
)
def test_shapes_of_secrets_are_blotted_out(secret: str) -> None:
    shown = debugging.redact(f"before {secret} after")
    assert "***" in shown
    assert shown.startswith("before ")
    for part in ("AKIAIOSFODNN7EXAMPLE", "IQoJb3", "aeeed9bb", "open", "user:pass", "shibboleth", "Credential=AKID"):
        assert part not in shown


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "schema", "--debug", str(tmp_path / "no" / "run.log"))
    assert answer.code == 2
    assert "--debug: cannot write" in answer.line
