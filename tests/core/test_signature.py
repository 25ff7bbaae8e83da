"""Genuine signatures of AWS through the production code, and everything that must not pass for one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.signature import (
    PublicKey,
    RegionKeys,
    fingerprint_of,
    index_keys,
    load_key,
    parse_signature,
    verify,
)

from .helpers import public, signer

REAL: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors_real" / "real_signature_vectors.json").read_text()
)
EACH = pytest.mark.parametrize("vector", REAL, ids=[item["signature_hex"][:8] for item in REAL])
JAN = datetime(2026, 1, 1, tzinfo=UTC)
FEB = datetime(2026, 2, 1, tzinfo=UTC)


def parts(vector: dict[str, Any]) -> tuple[rsa.RSAPublicKey, bytes, bytes]:
    key = load_key(base64.b64decode(vector["value_base64"]))
    signature = parse_signature(vector["signature_hex"])
    assert key is not None
    assert signature is not None
    return key, signature, bytes.fromhex(vector["sha256_of_signed_string"])


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_there_are_three_genuine_signatures_by_keys_of_both_encodings() -> None:
    assert len({vector["signature_hex"] for vector in REAL}) == 3
    assert {vector["encoding"] for vector in REAL} == {"SPKI", "PKCS#1"}


@EACH
def test_a_genuine_signature_verifies(vector: dict[str, Any]) -> None:
    key, signature, sha256 = parts(vector)
    assert key.key_size == 2048
    assert verify(key, signature, sha256)


@EACH
def test_a_genuine_key_bears_the_md5_of_its_bytes(vector: dict[str, Any]) -> None:
    assert fingerprint_of(base64.b64decode(vector["value_base64"])) == vector["fingerprint"]


@given(vector=st.sampled_from(REAL), bit=st.integers(0, 2047))
def test_a_flipped_bit_of_the_signature_fails(vector: dict[str, Any], bit: int) -> None:
    key, signature, sha256 = parts(vector)
    assert not verify(key, flip(signature, bit), sha256)


@given(vector=st.sampled_from(REAL), bit=st.integers(0, 255))
def test_a_flipped_bit_of_the_hash_fails(vector: dict[str, Any], bit: int) -> None:
    key, signature, sha256 = parts(vector)
    assert not verify(key, signature, flip(sha256, bit))


@given(vector=st.sampled_from(REAL), bit=st.integers(0, 2047))
def test_a_flipped_bit_of_the_modulus_fails(vector: dict[str, Any], bit: int) -> None:
    key, signature, sha256 = parts(vector)
    der = base64.b64decode(vector["value_base64"])
    modulus = key.public_numbers().n.to_bytes(256)
    assert der.count(modulus) == 1
    other = load_key(der.replace(modulus, flip(modulus, bit)))
    assert other is None or not verify(other, signature, sha256)


@given(vector=st.sampled_from(REAL), data=st.data())
def test_any_flipped_bit_of_a_key_costs_it_its_name(vector: dict[str, Any], data: st.DataObject) -> None:
    der = base64.b64decode(vector["value_base64"])
    liar = flip(der, data.draw(st.integers(0, len(der) * 8 - 1)))
    assert index_keys([PublicKey(vector["fingerprint"], liar, JAN, FEB, None, "file")]) == {}


@pytest.mark.parametrize("length", [0, 1, 255, 257, 4096])
def test_a_signature_of_another_length_is_wrong_and_no_error(length: int) -> None:
    key, signature, sha256 = parts(REAL[0])
    assert not verify(key, (signature * 17)[:length], sha256)


@given(st.binary(max_size=400))
def test_garbage_is_no_key(der: bytes) -> None:
    assert load_key(der) is None


@given(vector=st.sampled_from(REAL), data=st.data())
def test_a_damaged_key_is_none_or_proves_nothing_new(vector: dict[str, Any], data: st.DataObject) -> None:
    der = bytearray(base64.b64decode(vector["value_base64"]))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    _, signature, sha256 = parts(vector)
    other = load_key(bytes(der[: data.draw(st.integers(1, len(der)))]))
    genuine = parts(vector)[0].public_numbers()
    assert other is None or other.public_numbers() == genuine or not verify(other, signature, sha256)


def test_both_encodings_of_one_key_are_one_key() -> None:
    numbers = signer().private.public_key()
    spki, pkcs1 = (
        numbers.public_bytes(Encoding.DER, form) for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)
    )
    one, other = load_key(spki), load_key(pkcs1)
    assert one is not None
    assert other is not None
    assert one.public_numbers() == other.public_numbers() == numbers.public_numbers()
    assert fingerprint_of(spki) != fingerprint_of(pkcs1)


def test_a_key_of_another_kind_is_no_key() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert load_key(curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)) is None


@pytest.mark.parametrize("text", ["", "00", "AbCd", "ff" * 256])
def test_hex_is_read_in_either_case(text: str) -> None:
    assert parse_signature(text) == bytes.fromhex(text)


@given(st.text())
def test_what_is_no_hex_is_no_signature(text: str) -> None:
    digits = len(text) % 2 == 0 and all(letter in "0123456789abcdefABCDEF" for letter in text)
    assert (parse_signature(text) is not None) == digits


@pytest.mark.parametrize("text", ["\ud800\ud800", "é0", " 00", "00 ", "0x00", "0\0", "００"])
def test_almost_hex_is_no_signature(text: str) -> None:
    assert parse_signature(text) is None


def test_index_keys_keeps_honest_keys_and_drops_liars() -> None:
    honest, other = public(signer(0)), public(signer(1))
    swapped = PublicKey(other.fingerprint, honest.der, JAN, FEB, None, "aws")
    shouting = PublicKey(honest.fingerprint.upper(), honest.der, JAN, FEB, None, "aws")
    no_key = PublicKey(fingerprint_of(b"no key"), b"no key", JAN, FEB, None, "aws")
    assert index_keys([swapped, shouting, no_key]) == {}
    assert index_keys([swapped, honest, no_key, other]) == {honest.fingerprint: honest, other.fingerprint: other}


def test_valid_at_asks_for_any_key_of_that_time() -> None:
    key = PublicKey("f", b"", JAN, FEB, None, "aws")
    keys = RegionKeys({"f": key})
    assert [keys.valid_at(moment) for moment in (JAN, FEB, datetime(2026, 2, 2, tzinfo=UTC))] == [True, True, False]
    assert not RegionKeys().valid_at(JAN)
