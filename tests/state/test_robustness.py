"""Runs that are killed, that run at once, that find no room: the old state stays usable, or is refused as it is."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.state import keeping
from cloudtrail_validate.state.codec import INDEX, decode, encode
from cloudtrail_validate.state.keeping import load, save
from cloudtrail_validate.state.model import RegionState, State, merge
from cloudtrail_validate.state.storage import LocalStorage, Storage, Tag, storage_of
from tests.cli.test_guard import plain_env
from tests.cli.test_state import validated
from tests.state.test_model import NOW, REGION, edge, state, stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

linux = pytest.mark.skipif(sys.platform != "linux", reason="POSIX signals and limits")


def command(options: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cloudtrail_validate", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=plain_env(),
        **more,
    )


def finished(options: Sequence[str], **more: Any) -> tuple[int, str]:
    process = command(options, **more)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors.decode()


def hours(path: Path) -> int:
    held = decode(path.read_bytes(), "state")
    return sum(item.length for region in held.regions for item in region.stretches)


@linux
@pytest.mark.parametrize("place", ["a.state", "states/"])
def test_a_run_that_is_killed_at_any_moment_leaves_a_state_that_is_usable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    where = f"{tmp_path}/{place}"
    options = validated(tmp_path, capsys, "--state", where)
    assert finished(options)[0] == 0
    chance, began = random.Random(3), time.monotonic()
    assert finished([*options, "--recheck", "100%"])[0] == 0
    whole = time.monotonic() - began
    for _ in range(8):
        process = command([*options, "--recheck", "100%"])
        time.sleep(chance.uniform(0.4, 1.1) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        storage = storage_of(where, lambda _: None)
        held = load(storage, where, f"{(tmp_path / 'trail').as_uri()}", None, NOW, required=True).state
        assert sum(item.length for region in held.regions for item in region.stretches) == 3
    assert finished([*options, "--require-state"])[0] == 0


@linux
def test_a_disk_without_room_leaves_the_old_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import resource

    where = tmp_path / "a.state"
    options = validated(tmp_path, capsys, "--state", str(where))
    assert finished(options)[0] == 0
    before = where.read_bytes()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    code, said = finished([*options, "--recheck", "100%"], preexec_fn=limit)
    assert (code, "--state: cannot write" in said, said.count("\n")) == (3, True, 1)
    assert where.read_bytes() == before
    assert finished([*options, "--require-state"])[0] == 0


@linux
def test_two_runs_at_once_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "a.state"
    options = validated(tmp_path, capsys, "--state", str(where))
    processes = [command(options) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert hours(where) == 3
    assert decode(where.read_bytes(), "state").runs >= 1


def flip(data: bytes, at: int) -> bytes:
    broken = bytearray(data)
    broken[at] ^= 1
    return bytes(broken)


@pytest.mark.parametrize("place", ["a.state", "states/"])
def test_a_run_refuses_a_state_with_a_flipped_byte_and_leaves_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    where = f"{tmp_path}/{place}"
    options = validated(tmp_path, capsys, "--state", where)
    assert finished(options)[0] == 0
    folder = tmp_path / "states"
    files = sorted(folder.glob("*.state")) if folder.is_dir() else [tmp_path / "a.state"]
    for path in files:
        whole = path.read_bytes()
        for at in (3, 30, 90, len(whole) // 2, len(whole) - 1):
            path.write_bytes(flip(whole, at))
            code, said = finished(options)
            assert (code, said.count("\n"), path.read_bytes()) == (2, 1, flip(whole, at)), said
        path.write_bytes(whole.replace(b"ctvalidate.state/1", b"ctvalidate.state/2", 1))
        assert "another version" in finished(options)[1]
        path.write_bytes(whole)
    assert finished([*options, "--require-state"])[0] == 0


class Racing:
    """A storage in which others save just before each of the first writes."""

    sharded = False

    def __init__(self, inner: Storage, others: list[State]) -> None:
        self._inner = inner
        self._others = others

    def get(self, name: str) -> tuple[bytes, Tag] | None:
        return self._inner.get(name)

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        if self._others:
            known = self._inner.get(name)
            self._inner.put(name, encode(self._others.pop()), known[1] if known else None)
        return self._inner.put(name, data, tag)


def of_region(name: str) -> State:
    return replace(state(), regions=(RegionState("111122223333", name, None, (stretch(5),), (edge(1),)),))


def test_the_loser_merges_what_others_have_saved(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "a.state", sharded=False)
    others = [of_region(f"us-east-{number}") for number in range(2, 6)]
    loaded = load(storage, "x", "s3://b/", None, NOW, required=False)
    save(Racing(storage, [*others]), "x", loaded, of_region(REGION))
    saved = load(storage, "x", "s3://b/", None, NOW, required=True).state
    assert [region.region for region in saved.regions] == [REGION, *(f"us-east-{number}" for number in range(2, 6))]
    assert [item.rule for item in saved.open] == ["log-missing"]


def test_what_others_save_while_one_waits_is_merged_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each wait would end in the next conflict."""
    storage = LocalStorage(tmp_path / "a.state", sharded=False)
    others = [of_region(f"us-east-{number}") for number in range(2, 12)]
    loaded = load(storage, "x", "s3://b/", None, NOW, required=False)

    def wait(_seconds: float) -> None:
        now = load(storage, "x", "s3://b/", None, NOW, required=True)
        storage.put(INDEX, encode(merge(others.pop(), now.state)), now.tags[INDEX])

    monkeypatch.setattr("time.sleep", wait)
    save(Racing(storage, [others.pop()]), "x", loaded, of_region(REGION))
    saved = load(storage, "x", "s3://b/", None, NOW, required=True).state
    assert [region.region for region in saved.regions] == [REGION, "us-east-10", "us-east-11"]


def test_a_state_that_is_saved_all_the_time_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_WAIT", 0.0)
    storage = LocalStorage(tmp_path / "a.state", sharded=False)
    loaded = load(storage, "x", "s3://b/", None, NOW, required=False)
    others = [replace(state(), runs=number) for number in range(keeping.ATTEMPTS)]
    with pytest.raises(ConfigurationError, match="saved by other runs all the time"):
        save(Racing(storage, others), "x", loaded, state())


def test_many_threads_that_save_at_once_lose_nothing(tmp_path: Path) -> None:
    where = f"{tmp_path}/states/"
    names = [f"us-east-{number}" for number in range(1, 6)]
    failures: list[BaseException] = []
    all_loaded = threading.Barrier(len(names))

    def one(name: str) -> None:
        try:
            storage = storage_of(where, lambda _: None)
            loaded = load(storage, "x", "s3://b/", None, NOW, required=False)
            all_loaded.wait(60)  # whoever loads what another has saved begins with that, and would have to keep it
            save(storage, "x", loaded, of_region(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    saved = load(storage_of(where, lambda _: None), "x", "s3://b/", None, NOW, required=True).state
    assert [region.region for region in saved.regions] == names


def test_a_state_from_tomorrow_is_used_as_it_is() -> None:
    """A clock that was wrong is no damage."""
    late = replace(state(), saved=datetime.now(UTC) + timedelta(days=2))
    assert decode(encode(late), "x", INDEX) == late
