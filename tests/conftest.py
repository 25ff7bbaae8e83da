"""Fixtures for all tests: an environment without credentials, and the servers of `tests.servers`."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy
    from tests.servers.rclone import RcloneServer
    from tests.servers.receiver import Receiver
    from tests.servers.swift import SwiftServer

# No deadline: the computers that run the tests differ too much. The same examples every time where a red build must
# mean a change of the code; new ones on a developer's computer.
settings.register_profile("ci", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ci")

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in the background of a script; processes under test inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
privileges.lay_down()  # before anything is started: CI is root, developers are not

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


@pytest.fixture(scope="session")
def no_aws_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty AWS `config` and `credentials` file."""
    folder = tmp_path_factory.mktemp("no-aws")
    for name in ("config", "credentials", "boto"):
        (folder / name).touch()
    return folder


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch, no_aws_files: Path) -> None:
    """Take away whatever the developer's own environment could lend a test: credentials, endpoints, proxies."""
    for name in os.environ:
        if name.startswith("AWS_") or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(no_aws_files / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(no_aws_files / "credentials"))
    monkeypatch.setenv("BOTO_CONFIG", str(no_aws_files / "boto"))  # the last file botocore looks into
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # on an EC2 instance credentials come over the network


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    """One moto for all tests of a process. Tests want `aws`, which is this one, clean."""
    from tests.servers.aws import moto_aws  # 0.7 s, which only tests that talk to AWS shall pay

    with moto_aws() as server:
        yield server


@pytest.fixture
def aws(aws_server: AwsServer, clean_env: None, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """An empty AWS, and the environment that leads every SDK to it."""
    aws_server.reset()
    for name, value in aws_server.env.items():
        monkeypatch.setenv(name, value)
    return aws_server


@pytest.fixture
def rclone(tmp_path: Path) -> Iterator[RcloneServer]:
    """An empty S3 server that checks signatures. The environment stays as it is: see `RcloneServer.env`."""
    from tests.servers.rclone import rclone_s3

    with rclone_s3(tmp_path / "rclone") as server:
        yield server


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """One Swift for all tests of a process. Tests want `swift`, and a bucket of their own."""
    from tests.servers.swift import swift_s3

    with swift_s3(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def swift(swift_server: SwiftServer, clean_env: None, monkeypatch: pytest.MonkeyPatch) -> SwiftServer:
    """Swift, and the environment that leads every SDK to it."""
    for name, value in swift_server.env.items():
        monkeypatch.setenv(name, value)
    return swift_server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server that keeps what it is sent."""
    from tests.servers.receiver import receiver as serve

    with serve() as server:
        yield server


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str], FaultProxy]]:
    """Make a started proxy in front of an endpoint: `fault_proxy(rclone.endpoint)`. All are stopped after the test."""
    from tests.servers.proxy import FaultProxy

    with contextlib.ExitStack() as stack:
        yield lambda upstream: stack.enter_context(FaultProxy(upstream))
