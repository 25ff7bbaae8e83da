"""Whatever lies where a digest should: `observe` answers, and calls nothing valid but what was signed for it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudtrail_validate.core.digest import Evidence, SignatureStatus
from cloudtrail_validate.core.model import HOUR, Interval, Locator
from cloudtrail_validate.core.rules import RULES

from .helpers import BUCKET, edited, fetch, look, packed, pair, where

FIRST, SECOND = pair()
GENUINE = hashlib.sha256(SECOND.content).hexdigest()
DEEP = 100_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.none() | st.dictionaries(
    st.sampled_from(["signature", "Signature", "signature-algorithm", "x"]) | st.text(max_size=5),
    st.sampled_from([SECOND.signature, FIRST.signature, "SHA256withRSA", "", "0" * 512, "f" * 100_000])
    | st.text(st.characters(), max_size=8),
    max_size=4,
)


def check(
    body: bytes, *, at: Locator | None = None, metadata: Mapping[str, str] | str | None = "own"
) -> tuple[Evidence, bool]:
    """Look at it; whatever it is, hold what must hold. Returns the evidence, and whether it is the genuine content."""
    fetched = fetch(SECOND, body=body, at=at, metadata=metadata)
    evidence, logs = look(fetched)
    genuine = fetched.sha256 == GENUINE and (at or where(SECOND)) in (where(SECOND), Locator("", SECOND.key))
    assert genuine or evidence.own is not SignatureStatus.VALID
    assert evidence.own is SignatureStatus.VALID or evidence.findings or metadata is None
    assert evidence.interval == Interval(fetched.end - HOUR, fetched.end)
    assert all(finding.rule in RULES and finding.interval == evidence.interval for finding in evidence.findings)
    assert evidence.own is not SignatureStatus.UNUSABLE or (not logs and evidence.previous is None)
    return evidence, genuine


def test_the_genuine_digest_passes_this_check() -> None:
    evidence, genuine = check(packed(SECOND.content))
    assert genuine
    assert evidence.own is SignatureStatus.VALID


@given(st.binary(max_size=300))
def test_arbitrary_bytes(body: bytes) -> None:
    assert check(body)[0].own is SignatureStatus.UNUSABLE


@given(st.binary(max_size=300))
def test_arbitrary_content(content: bytes) -> None:
    assert check(packed(content))[0].own is SignatureStatus.UNUSABLE


@given(st.integers(0, len(SECOND.content) - 1), st.integers(1, 255))
def test_one_changed_byte(index: int, change: int) -> None:
    content = bytearray(SECOND.content)
    content[index] ^= change
    assert check(packed(bytes(content)))[0].own in (
        SignatureStatus.INVALID,
        SignatureStatus.UNUSABLE,
        SignatureStatus.NO_KEY,
        SignatureStatus.UNSUPPORTED,
    )


@given(st.integers(0, len(packed(SECOND.content)) - 1), st.integers(1, 255))
def test_one_changed_byte_of_the_container(index: int, change: int) -> None:
    """Some bytes of a gzip header (its time, its system) say nothing of the content: those may change."""
    body = bytearray(packed(SECOND.content))
    body[index] ^= change
    evidence, _ = check(bytes(body))
    assert evidence.own is not SignatureStatus.VALID or gzip.decompress(bytes(body)) == SECOND.content


@given(field=st.sampled_from(sorted(SECOND.record)), value=JSON, escape=st.booleans(), metadata=HEADERS)
def test_one_field_of_another_value_or_type(
    field: str, value: Any, escape: bool, metadata: Mapping[str, str] | None
) -> None:
    text = json.dumps({**SECOND.record, field: value}, ensure_ascii=escape)
    evidence, _ = check(packed(text.encode("utf-8", "surrogatepass")), metadata=metadata)
    assert evidence.own is not SignatureStatus.VALID


@given(field=st.sampled_from(sorted(SECOND.record["logFiles"][0])), value=JSON)
def test_one_field_of_a_log_of_another_value_or_type(field: str, value: Any) -> None:
    reference = {**SECOND.record["logFiles"][0], field: value}
    assert check(packed(edited(SECOND, logFiles=[reference])))[0].own is not SignatureStatus.VALID


@given(fields=st.sets(st.sampled_from(sorted(SECOND.record)), min_size=1), extra=JSON)
def test_fields_deleted_and_others_added(fields: set[str], extra: Any) -> None:
    record = {name: value for name, value in SECOND.record.items() if name not in fields} | {"extra": extra}
    assert check(packed(json.dumps(record).encode()))[0].own is not SignatureStatus.VALID


@given(field=st.sampled_from(sorted(SECOND.record)), first=JSON, ahead=st.booleans())
def test_a_field_that_is_there_twice(field: str, first: Any, ahead: bool) -> None:
    """Readers differ on which of two counts; the signature is over the bytes, so neither passes."""
    twin = json.dumps({field: first}).encode()[1:-1]
    content = SECOND.content
    doubled = b"{" + twin + b"," + content[1:] if ahead else content[:-1] + b"," + twin + b"}"
    assert check(packed(doubled))[0].own is not SignatureStatus.VALID


@given(st.builds(Locator, st.sampled_from(["", BUCKET, "b"]) | st.text(), st.sampled_from([SECOND.key]) | st.text()))
@example(Locator("", SECOND.key))
@example(Locator(BUCKET, SECOND.key + "\n"))
@example(Locator(BUCKET, "\ud800"))
def test_the_genuine_digest_anywhere_else(at: Locator) -> None:
    evidence, genuine = check(packed(SECOND.content), at=at)
    assert (evidence.own is SignatureStatus.VALID) == genuine


@given(HEADERS)
def test_the_genuine_digest_with_arbitrary_metadata(metadata: Mapping[str, str] | None) -> None:
    evidence, _ = check(packed(SECOND.content), metadata=metadata)
    signatures = [value for name, value in (metadata or {}).items() if name.lower() == "signature"]
    if evidence.own is SignatureStatus.VALID:
        assert signatures[0] == SECOND.signature


@pytest.mark.parametrize(
    "content",
    [
        b"[" * DEEP,
        b'{"a":' * DEEP,
        SECOND.content.replace(b'"logFiles":[', b'"logFiles":[' + b"[" * DEEP),
        SECOND.content[:-1] + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
        SECOND.content[:-1] + b',"x":' + b'{"y":' * DEEP + b"1" + b"}" * DEEP + b"}",
        SECOND.content[:-1] + b',"x":1e999999999}',
        SECOND.content[:-1] + b',"x":' + b"9" * 1_000_000 + b"}",
        SECOND.content[:-1] + b',"x":"' + b"x" * 10_000_000 + b'"}',
        SECOND.content[:-1] + b',"x":NaN}',
        SECOND.content.replace(b"mgmt", b"m" * 10_000_000),
        SECOND.content.replace(b"mgmt", b"mg\\u0000"),
        SECOND.content.replace(b"mgmt", b"mg\0"),
        SECOND.content.replace(b"mgmt", b"mg\\udc00"),
        SECOND.content.replace(b"mgmt", b"mg\xed\xa0\x80"),
        b"\xef\xbb\xbf" + SECOND.content,
        SECOND.content + b"\0",
        SECOND.content.decode().encode("utf-16"),
        b"null",
        b'"' + b"\\" * 1_000_001,
    ],
    ids=range(19),
)
def test_content_made_to_break_a_parser(content: bytes) -> None:
    assert content != SECOND.content
    assert check(packed(content))[0].own is not SignatureStatus.VALID
