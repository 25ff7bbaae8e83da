"""A log that inflates to hundreds of megabytes is hashed in pieces, and its neighbours beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Final

from tests.faults.helpers import BUCKET, LOGS, Trail, write

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.servers.rclone import RcloneServer

BOMB_BYTES: Final = 400 * 1000 * 1000  # inflated; about 390 kB compressed
ALLOWED_BYTES: Final = 100 * 1000 * 1000  # more than the same run without the bombs
MEASURE: Final = """
import json, resource, sys
from cloudtrail_validate.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"peak": peak, "exit": end.code}), file=sys.stderr)
"""


def test_a_bomb_is_hashed_in_bounded_memory(
    rclone: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone.env.items():
        monkeypatch.setenv(name, value)
    client = rclone.client()
    trail = write(client)
    before = peak_of(trail, tmp_path)
    bomb = gzip_of_zeros(BOMB_BYTES)
    assert len(bomb) < 500_000
    for key in trail.logs[2:6]:
        client.put_object(Bucket=BUCKET, Key=key, Body=bomb)
    after = peak_of(trail, tmp_path)
    assert (before["altered"], before["exit"], after["altered"], after["exit"]) == (0, 0, 4, 1)
    assert after["hashed"] >= 4 * BOMB_BYTES
    growth = after["peak"] - before["peak"]
    assert growth < ALLOWED_BYTES, f"{before['peak']:,} bytes without, {after['peak']:,} bytes with four bombs"


def peak_of(trail: Trail, folder: Path) -> dict[str, int]:
    """Peak resident memory in bytes of a validation in a process of its own, and what came of it."""
    options = ["--s3-bucket", BUCKET, "--public-keys", str(trail.keys_file(folder)), *trail.times(), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *options], capture_output=True, text=True, timeout=120, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["logs"]["valid"] + report["summary"]["logs"]["altered"] == LOGS
    found: dict[str, int] = json.loads(done.stderr.splitlines()[-1])
    return {**found, "altered": report["summary"]["logs"]["altered"], "hashed": report["summary"]["log_bytes_hashed"]}


def gzip_of_zeros(size: int) -> bytes:
    """One gzip member of that many zero bytes."""
    squeeze = zlib.compressobj(9, wbits=31)
    piece = bytes(1_000_000)
    return b"".join([*(squeeze.compress(piece) for _ in range(size // len(piece))), squeeze.flush()])
