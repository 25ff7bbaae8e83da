"""Reports of S3 Batch Operations as AWS documents them, and what is none."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.inventory.batch_report import read_manifest, read_rows

SCHEMA = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
BUCKET = "amzn-s3-demo-bucket"
HASH = hashlib.sha256(b"x")
COMPUTED = {
    "checksum_base64": base64.b64encode(HASH.digest()).decode(),
    "etag": "d41d8cd98f00b204e9800998ecf8427e",
    "checksumAlgorithm": "SHA256",
    "checksumType": "FULL_OBJECT",
    "checksum_hex": HASH.hexdigest().upper(),
}


def manifest(**changes: Any) -> bytes:
    told = {"Format": "Report_CSV_20180820", "ReportCreationDate": "2026-01-05T17:48:39.725Z", "Results": []}
    return json.dumps({**told, "ReportSchema": SCHEMA, **changes}).encode()


def row(key: str, message: object, status: str = "succeeded", code: str = "200", error: str = "") -> str:
    out = io.StringIO()
    text = message if isinstance(message, str) else json.dumps(message)
    csv.writer(out).writerow([BUCKET, quote_plus(key), "", status, error, code, text])
    return out.getvalue()


def only(text: str) -> Any:
    (found,) = read_rows(read_manifest(manifest()), text)
    return found


def test_a_computed_checksum() -> None:
    found = only(row("AWSLogs/1/a b+c=ü.json.gz", COMPUTED))
    assert (found.bucket, found.key, found.sha256) == (BUCKET, "AWSLogs/1/a b+c=ü.json.gz", HASH.hexdigest())


@pytest.mark.parametrize("left_out", ["checksum_base64", "checksum_hex"])
def test_either_way_of_writing_it_is_enough(left_out: str) -> None:
    assert only(row("k", {**COMPUTED, left_out: ""})).sha256 == HASH.hexdigest()


@pytest.mark.parametrize(
    "message",
    [
        {
            name.replace("checksum_b", "checksumB").replace("checksum_h", "checksumH"): COMPUTED[name]
            for name in COMPUTED
        },
        {name[0].upper() + name[1:]: COMPUTED[name] for name in COMPUTED},
        {"checksum_algorithm": "sha-256", "checksum_type": "full object", "checksum_hex": HASH.hexdigest()},
        {"checksumAlgorithm": "SHA256", "checksum_hex": HASH.hexdigest()},
        json.dumps(json.dumps(COMPUTED)),
        json.dumps(COMPUTED).replace('"', '""'),
        json.dumps(COMPUTED).replace("=", "\\u003d"),
        f'{{checksum_hex: "{HASH.hexdigest()}", checksumAlgorithm:"SHA256"}}',
    ],
)
def test_names_and_quotes_as_others_have_seen_them(message: object) -> None:
    assert only(row("k", message)).sha256 == HASH.hexdigest()


def test_a_line_of_headings_is_no_row() -> None:
    headings = SCHEMA.replace(" ", "")
    (found,) = read_rows(read_manifest(manifest()), f"\ufeff{headings}\r\n{row('k', COMPUTED)}")
    assert found.sha256 == HASH.hexdigest()
    with pytest.raises(ConfigurationError, match="columns"):
        list(read_rows(read_manifest(manifest()), "Bucket,Key\r\n"))


@pytest.mark.parametrize(("error", "code"), [("", "403"), ("null", "403"), ("403", "-"), ("-", "403")])
def test_codes_in_either_order(error: str, code: str) -> None:
    found = only(row("k", "", "failed", code, error))
    assert (found.sha256, found.problem, found.absent) == (None, "S3 could not compute it: 403", False)


def test_columns_in_another_order() -> None:
    swapped = read_manifest(
        manifest(ReportSchema="Key, Bucket, VersionId, TaskStatus, HTTPStatusCode, ErrorCode, ResultMessage")
    )
    cells = row("k", COMPUTED).replace(f"{BUCKET},k,", f"k,{BUCKET},")
    (found,) = read_rows(swapped, cells)
    assert (found.bucket, found.key) == (BUCKET, "k")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({**COMPUTED, "checksumAlgorithm": "CRC64NVME"}, "only SHA256 proves"),
        ({**COMPUTED, "checksumType": "COMPOSITE"}, "of parts"),
        ({**COMPUTED, "checksum_hex": "00" * 32}, "agrees with itself"),
        ({**COMPUTED, "checksum_hex": "zz", "checksum_base64": ""}, "agrees with itself"),
        ({**COMPUTED, "checksum_hex": "ab", "checksum_base64": ""}, "agrees with itself"),
        ({}, "only SHA256 proves"),
        ("", "no checksum"),
        ("Successful", "no checksum"),
        ("[" * 100_000, "no checksum"),
    ],
)
def test_what_is_no_sha256_proves_nothing(message: object, words: str) -> None:
    found = only(row("k", message))
    assert found.sha256 is None
    assert words in found.problem


def test_failed_tasks() -> None:
    denied = only(row("k", "no", "failed", "403", "AccessDenied"))
    assert (denied.sha256, denied.absent, "AccessDenied" in denied.problem) == (None, False, True)
    assert only(row("k", "no", "failed", "404", "NoSuchKey")).absent
    assert not only(row("k", "no", "failed", "404", "")).absent  # a bare 404 is not S3's word about the object


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"[" * 100_000, manifest(Format="x"), manifest(ReportSchema="Bucket, Key"), b"\xff"),
        manifest().replace(b"2026", b"\xff"),
    ],
)
def test_what_is_no_manifest_is_one_line(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"\A--checksum-report: [^\n]*\Z"):
        read_manifest(data)


@given(st.text())
def test_any_text_is_rows_or_one_line(text: str) -> None:
    try:
        found = list(read_rows(read_manifest(manifest()), text))
    except ConfigurationError:
        return
    assert all(item.sha256 is None for item in found)
