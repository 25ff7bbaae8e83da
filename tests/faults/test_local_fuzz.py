"""Local copies with many things wrong at once: each is told, none gives a site up, and a snapshot proves them again."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate import Request, run
from cloudtrail_validate.report import formats
from cloudtrail_validate.report.json import render
from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from cloudtrail_validate.snapshot.bundle import Asked, open_bundle
from cloudtrail_validate.snapshot.taking import Taker
from cloudtrail_validate.snapshot.verifying import verify
from tests.fuzz.drive import FACTOR
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report

SPEC = TrailSpec(hours=8, logs_per_hour=2, regions=("us-east-1", "eu-west-1"), late_logs=3)
NAMES = [
    b"x",
    b"x.json.gz",
    b"\xff\xfe.gz",
    b"line\nfeed",
    b"\x1b[31m.gz",
    b" ",
    b"-rf",
    b"a" * 250,
    b"\xe2\x80\xae.gz",
]
SEEDS = 40 * FACTOR  # copies to try


def gone(path: Path, _: random.Random) -> None:
    path.unlink()


def pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def plug(path: Path, _: random.Random) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s")
        Path("s").rename(path.name)
    finally:
        os.chdir(here)


def link(path: Path, source: random.Random) -> None:
    target = source.choice([path.name, "..", "/dev/zero", "/etc/hostname", "gone", "/proc/self/fd/0", "a" * 300])
    path.unlink()
    path.symlink_to(target)


def link_out(path: Path, _: random.Random) -> None:
    outside = Path(f"{_root(path)}-outside")
    outside.mkdir(exist_ok=True)
    shutil.move(path, outside / path.name)
    path.symlink_to(outside / path.name)


def folder(path: Path, source: random.Random) -> None:
    path.unlink()
    path.mkdir()
    if source.random() < 0.5:
        (path / "x").touch()


def noise(path: Path, source: random.Random) -> None:
    path.write_bytes(source.choice([b"", b"\x1f\x8b", b"{" * 5_000, b"\xff" * 9, source.randbytes(300)]))


def cut(path: Path, source: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: source.randrange(len(data))])


def appended(path: Path, source: random.Random) -> None:
    path.write_bytes(path.read_bytes() + source.randbytes(4))


def odd_time(path: Path, source: random.Random) -> None:
    stamp = source.choice([-(2**62), -1, 2**40, 2**62])
    os.utime(path, (stamp, stamp), follow_symlinks=False)


def link_in(path: Path, _: random.Random) -> None:
    store = _root(path) / "store"
    store.mkdir(exist_ok=True)
    shutil.move(path, store / path.name)
    path.symlink_to(os.path.relpath(store / path.name, path.parent))


# Signatures, which every copy may lose; the first digest, of the hour before the window; the newest and those of late
# logs, which no successor names, and the logs of the newest, which falls with its signature.
NO_CHANGE = re.compile(r"metadata\.json$|Digest.*(T000000Z|T080000Z|_backfill)|CloudTrail_.*T07..Z")
CHANGES = [gone, pipe, plug, link, link_out, folder, noise, cut, appended]
HARMLESS = [odd_time, link_in]


def _root(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "copy")


def plant(root: Path, source: random.Random) -> None:
    """Something of an odd sort and name, anywhere below the trail's folders."""
    folders = [path for path in root.glob("AWSLogs/*/CloudTrail/**/") if path.is_dir() and not path.is_symlink()]
    path = Path(os.fsdecode(os.fsencode(source.choice(folders)) + b"/" + source.choice(NAMES)))
    if os.path.lexists(path):
        return
    path.write_bytes(b"planted")
    source.choice([pipe, link, folder, noise, odd_time, lambda *_: None])(path, source)


def validated(root: Path, keys: Path, simulation: object, taker: Taker | None = None) -> Report:
    manifest = simulation.manifest  # type: ignore[attr-defined]  # of one type, which needs no import here
    request = Request(start=manifest.start, end=manifest.end, source=root, public_keys=keys)
    result = run(request, now=manifest.as_of, companion=taker)
    if taker is not None:
        taker.finish(request, result.report, manifest.as_of)
    return result.report


@pytest.mark.parametrize("seed", [*range(SEEDS), 59])  # 59: a folder of a region whose name is no UTF-8
def test_no_copy_is_too_odd(tmp_path: Path, seed: int) -> None:
    source, root, keys = random.Random(seed), tmp_path / "copy", tmp_path / "keys.json"
    simulation = simulate(SPEC, FolderSink(root), new_key=same_keys())
    keys.write_text(simulation.keys.as_json())
    files = sorted(path for path in root.rglob("*") if path.is_file())
    changed: list[str] = []
    for path in source.sample(files, source.randrange(4)):
        edit = source.choice(CHANGES + HARMLESS)
        edit(path, source)
        changed += [f"{edit.__name__} {path}"] if edit in CHANGES and not NO_CHANGE.search(path.name) else []
    for _ in range(source.randrange(3)):
        plant(root, source)
    manifest = simulation.manifest
    bundle = open_bundle(
        tmp_path / "snapshot", Asked(), Request(manifest.start, manifest.end).window(manifest.as_of), force=False
    )
    with contextlib.closing(bundle):
        report = validated(root, keys, simulation, Taker(bundle))
    assert "internal error" not in str(report.findings)
    assert report.exit_code in ((1,) if changed else (0, 1, 3)), changed
    for name in formats.FORMATS:
        formats.renderer(name)(report).encode()
    assert validated(root, keys, simulation).findings == report.findings
    again = verify(tmp_path / "snapshot")
    assert (again.differences, again.changes, again.exit_code) == ([], [], 0)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "snapshot").rglob("*") if path.is_file())
    hostname = Path("/etc/hostname")
    assert not hostname.exists() or not hostname.read_bytes() or hostname.read_bytes() not in kept
    assert render(report)
