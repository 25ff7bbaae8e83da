"""The least that validation could cost: fetch, inflate, hash, and nothing else. Each way is a process of its own.

    python -m benchmarks.bare s3 ENDPOINT TASKS         libcurl and uvloop, every log of the responder's bucket
    python -m benchmarks.bare core ENDPOINT             the same logs held in memory, one thread
    python -m benchmarks.bare threads|processes FOLDER  the logs of a local copy, on all cores

What is printed is one line of JSON (`Bare`). Starting, importing and listing are not measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.harness import Sample, WorkError, environment, run
from benchmarks.plan import BUCKET

if TYPE_CHECKING:
    from cloudtrail_validate.stores.curl import Curl
    from cloudtrail_validate.stores.transfer import Route

_GZIP: Final = 31  # zlib's code for one gzip member
_MOST_BYTES: Final = 1 << 30  # compressed, of a log
_CHUNK: Final = 64  # files that a process is given at a time


class Bare(msgspec.Struct, frozen=True, kw_only=True):
    """What a bare loop did: objects, their inflated bytes, wall and CPU time in seconds."""

    objects: int
    inflated: int
    seconds: float
    cpu: float


def bare(way: str, where: str, *more: str) -> tuple[Sample, Bare]:
    """Run a bare loop in a process of its own. Raises `WorkError` where it fails."""
    sample = run([sys.executable, "-m", "benchmarks.bare", way, where, *more], environment())
    if sample.code:
        raise WorkError(f"bare {way}: {sample.words()}")
    done = msgspec.json.decode(sample.output, type=Bare)
    return Sample(done.seconds, done.cpu, sample.peak, 0, sample.output, b""), done


def hash_member(data: bytes) -> int:
    """Inflate and hash one log. Returns its inflated size in bytes."""
    from isal import isal_zlib  # noqa: PLC0415  # `bare` above is called by processes that are to stay small

    content = isal_zlib.decompress(data, _GZIP)
    hashlib.sha256(content).hexdigest()
    return len(content)


def hash_file(path: str) -> int:
    """Read, inflate and hash one file."""
    return hash_member(Path(path).read_bytes())


def measured(objects: int, work: Callable[[], int]) -> Bare:
    """Time some work that returns the bytes it inflated."""
    before, began = _cpu(), time.perf_counter()
    inflated = work()
    return Bare(objects=objects, inflated=inflated, seconds=time.perf_counter() - began, cpu=_cpu() - before)


def _cpu() -> float:
    """CPU time of this process so far, all threads, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _from_s3(endpoint: str, tasks: int) -> Bare:
    keys = _log_keys(endpoint)
    curl, route = _curl(tasks)
    waiting = iter(keys)
    total = 0

    async def work() -> None:
        nonlocal total
        for key in waiting:
            answer = await curl.get(route, f"{endpoint}/{BUCKET}/{key}", _MOST_BYTES)
            total += hash_member(answer.body)

    before, began = _cpu(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    done = Bare(objects=len(keys), inflated=total, seconds=time.perf_counter() - began, cpu=_cpu() - before)
    await curl.close()
    return done


async def _in_memory(endpoint: str) -> list[bytes]:
    curl, route = _curl(1)
    keys = _log_keys(endpoint)
    held = [(await curl.get(route, f"{endpoint}/{BUCKET}/{key}", _MOST_BYTES)).body for key in keys]
    await curl.close()
    return held


def _curl(tasks: int) -> tuple[Curl, Route]:
    from botocore.httpsession import get_cert_path  # noqa: PLC0415  # as above

    from cloudtrail_validate.runtime.limits import Timeouts  # noqa: PLC0415  # as above
    from cloudtrail_validate.stores.curl import Curl  # noqa: PLC0415  # as above
    from cloudtrail_validate.stores.transfer import Route, Signature  # noqa: PLC0415  # as above

    signature = Signature("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    return Curl(Timeouts(), tasks), Route(str(get_cert_path(True)), signature=signature)


def _log_keys(endpoint: str) -> list[str]:
    import boto3  # noqa: PLC0415  # as above

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="AWSLogs/")
    return [item["Key"] for page in pages for item in page["Contents"] if "/CloudTrail/" in item["Key"]]


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.json.gz") if "CloudTrail" in path.parts)


def _on_threads(paths: Sequence[str]) -> Bare:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return measured(len(paths), lambda: sum(pool.map(hash_file, paths)))


def _on_processes(paths: Sequence[str]) -> Bare:
    chunks = [paths[first : first + _CHUNK] for first in range(0, len(paths), _CHUNK)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        pool.map(_hash_files, [paths[:1]] * 2 * (os.cpu_count() or 1), 1)  # all have started and imported
        began, before = time.perf_counter(), _cpu()
        done = list(pool.imap_unordered(_hash_files, chunks))
        seconds, cpu = time.perf_counter() - began, _cpu() - before
    inflated, in_children = (sum(column) for column in zip(*done, strict=True))
    return Bare(objects=len(paths), inflated=int(inflated), seconds=seconds, cpu=cpu + in_children)


def _hash_files(paths: Sequence[str]) -> tuple[int, float]:
    """Inflated bytes and CPU seconds of some files."""
    before = time.process_time()
    return sum(map(hash_file, paths)), time.process_time() - before


def _one_core(held: Sequence[bytes]) -> Bare:
    return measured(len(held), lambda: sum(map(hash_member, held)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the loop that the command line names."""
    import uvloop  # noqa: PLC0415  # as above

    match list(sys.argv[1:] if arguments is None else arguments):
        case ["s3", endpoint, tasks]:
            done = uvloop.run(_from_s3(endpoint, int(tasks)))
        case ["core", endpoint]:
            done = _one_core(uvloop.run(_in_memory(endpoint)))
        case ["threads", folder]:
            done = _on_threads(_files(Path(folder)))
        case ["processes", folder]:
            done = _on_processes(_files(Path(folder)))
        case _:
            sys.exit(__doc__)
    print(msgspec.json.encode(done).decode())


if __name__ == "__main__":
    main()
