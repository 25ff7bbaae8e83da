"""Complete a local copy of a trail with what `aws s3 sync` leaves behind: the signatures of its digests.

    python fetch_signatures.py BUCKET DIR

CloudTrail keeps a digest's signature in the object's S3 metadata, and copying to a disk drops it. For every digest
below DIR this asks HeadObject and writes the metadata beside the file, as `NAME.metadata.json`, where
`ctvalidate --source DIR` looks for it. Files that have theirs are left alone, so it can be run again. Exits 1, naming
them, where objects could not be asked about.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REQUESTS = 16  # at a time; HeadObject answers in about 20 ms


def digests(folder: Path) -> Iterator[Path]:
    """Digest files of the copy that have no metadata beside them yet."""
    for path in folder.rglob("*.json.gz"):
        if "CloudTrail-Digest" in path.parts and not sidecar(path).exists():
            yield path


def sidecar(path: Path) -> Path:
    """The file that holds a digest's metadata."""
    return path.with_name(path.name + ".metadata.json")


def fetch(client: Any, bucket: str, folder: Path, path: Path) -> str | None:
    """Write one digest's metadata. Returns what went wrong, or None."""
    key = path.relative_to(folder).as_posix()
    try:
        metadata = client.head_object(Bucket=bucket, Key=key)["Metadata"]
    except (ClientError, BotoCoreError) as error:
        return f"{key!r}: {error}"
    sidecar(path).write_text(json.dumps(metadata), encoding="utf-8")
    return None


def main(bucket: str, folder: Path) -> int:
    """Fetch what is missing and say how it went."""
    client = botocore.session.Session().create_client("s3", config=Config(max_pool_connections=REQUESTS))
    with ThreadPoolExecutor(REQUESTS) as threads:
        answers = list(threads.map(partial(fetch, client, bucket, folder), digests(folder)))
    failures = [answer for answer in answers if answer]
    print(f"{len(answers) - len(failures)} signatures fetched", *failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: fetch_signatures.py BUCKET DIR")
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
