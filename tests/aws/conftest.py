"""AWS by its host names, behind TLS and a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from tests.aws.home import World
from tests.aws.kit import REGION, trail_in
from tests.servers.internet import internet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer
    from tests.servers.internet import Internet


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own with an empty `~/.aws`."""
    folder = tmp_path / "home"
    (folder / ".aws").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    for holder in (SSOProvider, SSOTokenProvider):  # botocore asked for the home when it was imported
        monkeypatch.setattr(holder, "_SSO_TOKEN_CACHE_DIR", str(folder / ".aws" / "sso" / "cache"))
    return folder


@pytest.fixture
def net(aws_server: AwsServer, clean_env: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """An empty AWS, reached by its own names. No region is set."""
    aws_server.reset()
    (tmp_path / "certificates").mkdir()
    with internet(aws_server, tmp_path / "certificates") as made:
        for name, value in made.env.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def trail(net: Internet, aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Trail:
    """A trail in a region that the environment names. Nothing is asked again more than once."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return trail_in(net, aws_server)


@pytest.fixture
def without_keys(net: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but those of the home's files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


@pytest.fixture
def world(
    net: Internet, aws_server: AwsServer, home: Path, without_keys: None, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("AWS_REGION", REGION)
    return World(trail_in(net, aws_server), net, home)
