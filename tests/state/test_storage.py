"""A state is saved whole or not at all, and never over what another run has saved meanwhile: in files and in S3."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.runtime.files import sweep
from cloudtrail_validate.state.storage import ConflictError, LocalStorage, Storage, storage_of
from tests.servers.clients import make_client

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

Make = Callable[[bool], Storage]


def refuse(_bucket: str) -> Any:
    raise AssertionError("no S3 here")


@pytest.fixture(params=["file", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the storage of a state, as one file or object, or with one an account."""
    if request.param == "file":
        return lambda sharded: storage_of(f"{tmp_path}/state/" if sharded else f"{tmp_path}/a.state", refuse)
    server: AwsServer = request.getfixturevalue("aws")
    client = make_client("s3", server.endpoint)
    client.create_bucket(Bucket="amzn-s3-demo-bucket")
    return lambda sharded: storage_of(
        f"s3://amzn-s3-demo-bucket/{'states/' if sharded else 'a.state'}", lambda _: client
    )


@pytest.mark.parametrize("sharded", [False, True])
def test_a_file_is_saved_where_nobody_has_saved_meanwhile(make: Make, sharded: bool) -> None:
    storage = make(sharded)
    assert storage.sharded is sharded
    assert storage.get("x.state") is None
    first = storage.put("x.state", b"one", None)
    with pytest.raises(ConflictError):
        storage.put("x.state", b"other", None)
    second = storage.put("x.state", b"two", first)
    with pytest.raises(ConflictError):
        storage.put("x.state", b"other", first)
    assert storage.get("x.state") == (b"two", second)


@pytest.mark.parametrize("target", ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"])
def test_an_s3_place_has_a_bucket_and_a_key(target: str) -> None:
    with pytest.raises(ConfigurationError, match="expected s3://BUCKET/KEY"):
        storage_of(target, refuse)


@pytest.mark.parametrize("place", ["/proc/version", "/proc/none/a.state"])
def test_where_nothing_can_be_written_is_one_line(place: str) -> None:
    storage = LocalStorage(Path(place), sharded=False)
    with pytest.raises(ConfigurationError, match=r"\A--state: cannot (read|write) "):
        storage.put("x", b"data" * 100, None)


WRITER = """
import sys
from pathlib import Path
from cloudtrail_validate.state.storage import LocalStorage
storage = LocalStorage(Path(sys.argv[1]), sharded=False)
tag = storage.get("x")[1]
print("ready", flush=True)
for number in range(10**9):
    tag = storage.put("x", bytes([number % 256]) * 300_000, tag)
"""


def test_killed_at_any_moment_a_whole_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    storage = LocalStorage(path, sharded=False)
    storage.put("x", b"\0" * 300_000, None)
    for delay in (0.002, 0.01, 0.03, 0.05, 0.08):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        got = storage.get("x")
        assert got is not None
        assert len(got[0]) == 300_000
        assert len(set(got[0])) == 1
        storage.put("x", b"\0" * 300_000, got[1])  # nobody holds the lock any more
    sweep(tmp_path)  # a process that was killed while it gave its file a name may have left it
    assert {item.name for item in tmp_path.iterdir()} == {"a.state", ".a.state.lock"}
