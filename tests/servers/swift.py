"""OpenStack Swift with its S3 API (PyPI package `swift`): a real server that keeps versions, beside moto.

What to know of it (Swift 2.38):
- It runs in a process of its own (`swift_process`), since it patches sockets and threads; it answers after 0.8 s.
- A key id is `account:user`. It checks SigV4 signatures.
- Names of user metadata come back capitalised (`Signature-Algorithm`).
- Version ids are times, and `null` for what was written before versioning. Storage classes and policies are not kept.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.clients import REGION, SECRET_KEY, environment, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client

ACCESS_KEY = "test:tester"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class SwiftServer:
    """A running server."""

    endpoint: str
    env: Mapping[str, str]

    def client(self) -> S3Client:
        """A boto3 client."""
        return make_client("s3", self.endpoint, region=REGION, access_key=ACCESS_KEY, secret_key=SECRET_KEY)


@contextlib.contextmanager
def swift_s3(directory: Path) -> Iterator[SwiftServer]:
    """Serve from a new folder. Raises RuntimeError, with what it said, where it does not start."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "swift.log"
    command = [sys.executable, "-m", "tests.servers.swift_process", str(directory)]
    pipe = subprocess.PIPE
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, cwd=_ROOT, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, contextlib.closing(process.stdin):
        endpoint = process.stdout.readline().strip()
        if not endpoint:
            raise RuntimeError(f"Swift did not start: {log.read_text(errors='replace')}")
        yield SwiftServer(endpoint, {**environment(endpoint), "AWS_ACCESS_KEY_ID": ACCESS_KEY})
