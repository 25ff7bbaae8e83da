"""Input that is made to grow takes memory in proportion to its size, whatever it is read as. Measured, not timed."""

from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from cloudtrail_validate.cli import recheck
from cloudtrail_validate.core import digest, layout
from cloudtrail_validate.core.gzip import INFLATE_CHUNK, digest_of
from cloudtrail_validate.core.sidecar import read_sidecar
from cloudtrail_validate.distribute import parts
from cloudtrail_validate.doctor.policy.document import parse
from cloudtrail_validate.evidence import events
from cloudtrail_validate.report.examination import read_examination
from cloudtrail_validate.report.kept import read
from cloudtrail_validate.runtime.files import read_at_most
from cloudtrail_validate.snapshot import manifest
from cloudtrail_validate.state import codec as state
from cloudtrail_validate.stores.s3_answers import Asked, parse_page, refusal
from cloudtrail_validate.stores.transfer import Answer
from tests.fuzz import material, ways, words
from tests.fuzz.drive import bounded

SIZE: Final = 400_000  # bytes
TIMES: Final = 60  # Python's own objects: an empty list in JSON is three bytes and becomes 56, and 8 to point at it
GROWING: Final = {
    "brackets": b"[" * SIZE,
    "braces": b'{"a":' * (SIZE // 5),
    "lists": b"[" + b"[]," * (SIZE // 3) + b"[]]",
    "empty objects": b'{"logFiles":[' + b"{}," * (SIZE // 3) + b"{}]}",
    "names": b"{" + b",".join(b'"%x":0' % number for number in range(SIZE // 9)) + b"}",
    "digits": b"9" * SIZE,
    "elements": b"<ListBucketResult>" + b"<Contents/>" * (SIZE // 11) + b"</ListBucketResult>",
    "depth": b"<a>" * (SIZE // 3),
    "text": b"<Error><Code>" + b"x" * SIZE + b"</Code></Error>",
    "attributes": b"<Error " + b" ".join(b'a%x=""' % number for number in range(SIZE // 9)) + b"/>",
    "entities": b"<Error><Code>" + b"&#65;" * (SIZE // 5) + b"</Code></Error>",
    "laughs": b"<!DOCTYPE x [<!ENTITY a '" + b"x" * 1_000 + b"'>]><Error>" + b"&a;" * (SIZE // 3) + b"</Error>",
    "escapes": b'"' + b"\\u0041" * (SIZE // 6) + b'"',
    "strings": b'"Records":[{' * (SIZE // 12),
    "quotes": b'"' * SIZE,
    "backslashes": b'"' + b"\\" * SIZE,
}
READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "a page of a listing": lambda data: parse_page(data, Asked("b", "")),
    "S3's refusals": lambda data: refusal(Answer(404, (), data, len(data))),
    "digests": digest.references_in,
    "a digest's place": digest.claimed_place,
    "sidecars": read_sidecar,
    "reports": lambda data: read(data, "1"),
    "examinations": read_examination,
    "parts": lambda data: parts.decode(data, "x"),
    "plans": lambda data: parts.read_plan(data, "x"),
    "states": lambda data: state.decode(data, "x"),
    "manifests": manifest.decode,
    "logs": lambda data: list(events.split(data)),
    "a log's syntax": events.syntax,
    "events of AWS": lambda data: words.take_event({"TopicArn": "", "Message": data.decode()}),
    "policies": lambda data: parse(data.decode()),
    "keys": lambda data: layout.folder_of("b", data.decode()),
}


@pytest.mark.parametrize("reader", READERS)
def test_memory_is_in_proportion_to_the_input(reader: str) -> None:
    for name, data in GROWING.items():
        with bounded():
            peak = _peak(READERS[reader], data)
        assert peak < TIMES * len(data), f"{name}: {peak:,} bytes for {len(data):,}"


def test_what_inflates_to_gigabytes_is_held_a_piece_at_a_time() -> None:
    body = gzip.compress(bytes(300_000_000), 1)
    assert _peak(digest_of, body) < 8 * INFLATE_CHUNK + 4 * len(body)
    inflater = digest.inflater(2**40)  # whatever size a listing claims
    assert _peak(inflater.feed, body) < digest.most_bytes(len(body)) + 8 * INFLATE_CHUNK


@pytest.mark.parametrize("reader", ["key files", "configuration"])
def test_files_are_read_in_proportion_to_their_size(reader: str) -> None:
    toml = {
        "nested": b"a = " + b"[" * 50_000,
        "dots": b"a" + b".a" * 20_000 + b" = 1",
        "digits": b"a = " + b"9" * 200_000,
    }
    for name, data in {**GROWING, **toml, "keys": json.dumps({"PublicKeyList": [{}] * 50_000}).encode()}.items():
        with bounded():
            peak = _peak(ways.WAYS[reader].enter, data)
        assert peak < 150 * len(data) + 2_000_000, f"{name}: {peak:,} bytes for {len(data):,}"


def test_the_report_of_a_job_is_read_in_proportion_to_its_size(tmp_path: Path) -> None:
    """Its files may have gigabytes: all of that was asked of the system before a few bytes were read."""
    path = tmp_path / "manifest.json"
    path.write_bytes(b"{}")
    assert _peak(lambda name: recheck._Source(name.decode(), None, None).manifest(), bytes(path)) < 2_000_000


def _peak(work: Callable[[bytes], Any], data: bytes) -> int:
    """Bytes that were held at most while it worked, besides the input."""
    material.made()  # else the first reader pays for it
    tracemalloc.start()
    try:
        with contextlib.suppress(Exception):  # which errors may escape is for others to say
            work(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_is_read_piece_by_piece_to_one_byte_more_than_is_wanted(tmp_path: Path) -> None:
    """`read(n)` takes n bytes of memory before it looks at the file."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)

    def read_(most: bytes) -> bytes:
        with path.open("rb") as file:
            return read_at_most(file, int(most))

    assert len(read_(b"2000000")) == 2_000_001
    assert len(read_(b"2999999")) == 3_000_000
    assert len(read_(b"9999999999")) == 3_000_000
    assert _peak(read_, b"9999999999") < 10_000_000
