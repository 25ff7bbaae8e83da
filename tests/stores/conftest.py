"""The stores that every conformance test runs on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.servers.rclone import rclone_s3
from tests.stores.kit import copied_place, local_place, moto_place, rclone_place, swift_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer
    from tests.servers.swift import SwiftServer
    from tests.stores.kit import Place

_numbers = itertools.count()


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """One rclone for all conformance tests of a process; each has a bucket of its own."""
    with rclone_s3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """A local copy. Its tree is in `tmp_path / "tree"`."""
    return local_place(tmp_path / "tree")


@pytest.fixture
def bucket(aws: AwsServer) -> Place:
    """S3 as moto serves it: with every key that S3 allows."""
    return moto_place(aws)


@pytest.fixture
def signed_bucket(rclone_server: RcloneServer, clean_env: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    """S3 as rclone serves it: every request's signature is checked."""
    for name, value in rclone_server.env.items():
        monkeypatch.setenv(name, value)
    return rclone_place(rclone_server, next(_numbers))


@pytest.fixture
def swift_bucket(swift: SwiftServer) -> Place:
    """S3 as Swift serves it, which checks signatures: its key ids hold a colon, so boto3 signs each request."""
    return swift_place(swift, next(_numbers))


@pytest.fixture
def copied(tmp_path: Path) -> Place:
    """A local copy of another bucket, under the keys that it has there."""
    return copied_place(tmp_path / "tree")


@pytest.fixture(params=["folder", "bucket", "signed_bucket", "swift_bucket", "copied"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each store in turn, empty."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=["folder", "bucket", "signed_bucket"])
def roomy_place(request: pytest.FixtureRequest) -> Place:
    """Each store that can be filled with a thousand objects behind its back; Swift takes a minute for as many requests."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def tree(folder: Place, tmp_path: Path) -> Path:
    """The folder's root, with one good file beside what a test puts there."""
    folder.fill(["a/good"])
    return tmp_path / "tree"
