"""The file of public keys: what is written reads back, and everything else is refused in one line."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.signature import PublicKey, RegionKeys, fingerprint_of
from cloudtrail_validate.stores.key_file import FileKeys, read_key_file, write_keys
from tests.core.helpers import KEY_LIFE, REGION, public, signer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors_real" / "real_signature_vectors.json").read_text())
KEY = public(signer())
ENTRY: dict[str, Any] = {
    "Value": base64.b64encode(KEY.der).decode(),
    "ValidityStartTime": "2025-12-31T00:00:00Z",
    "ValidityEndTime": "2026-01-30T00:00:00Z",
    "Fingerprint": KEY.fingerprint,
}
CURVE = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


def write(folder: Path, document: Any) -> Path:
    path = folder / "keys.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return path


def listed(folder: Path, *entries: dict[str, Any]) -> FileKeys:
    return read_key_file(write(folder, {"PublicKeyList": list(entries)}))


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_key_file(path)
    line = str(caught.value)
    assert line.startswith("--public-keys: ")
    assert "\n" not in line
    assert len(line) < 1000
    return line


def bare(found: RegionKeys) -> RegionKeys:
    """The keys without the file that they came from, which each of them names."""
    for key in found.keys.values():
        assert key.file is not None
        assert len(key.file_sha256 or "") == 64
    return RegionKeys({name: replace(key, file=None, file_sha256=None) for name, key in found.keys.items()})


# -- round trips ------------------------------------------------------------------------------------------------------


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    keys = [KEY, public(signer(1)), PublicKey(KEY.fingerprint, KEY.der, *KEY_LIFE, "eu-west-1", "aws")]
    found = read_key_file(write(tmp_path, write_keys(keys)))
    assert bare(found.region(REGION)) == RegionKeys({key.fingerprint: key for key in keys[:2]})
    assert bare(found.region("eu-west-1")) == RegionKeys(
        {KEY.fingerprint: PublicKey(KEY.fingerprint, KEY.der, *KEY_LIFE, "eu-west-1", "file")}
    )
    assert found.region("ap-south-1") == RegionKeys()


def test_the_file_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    keys = [KEY, public(signer(1)), KEY]
    assert write_keys(keys) == write_keys(keys[::-1])
    assert len(json.loads(write_keys(keys))["PublicKeyList"]) == 2


def test_a_key_without_a_region_serves_every_region(tmp_path: Path) -> None:
    anywhere = PublicKey(KEY.fingerprint, KEY.der, *KEY_LIFE, None, "file")
    written = write_keys([anywhere])
    assert "Region" not in json.loads(written)["PublicKeyList"][0]
    found = read_key_file(write(tmp_path, written))
    assert found.region("ap-south-1") == found.region(REGION)
    assert bare(found.region(REGION)) == RegionKeys({KEY.fingerprint: anywhere})


def test_the_simulators_file_is_read(tmp_path: Path) -> None:
    entry = signer().public.as_dict()
    assert bare(listed(tmp_path, entry).region(REGION)).keys[KEY.fingerprint] == KEY


def test_genuine_keys_of_both_encodings_are_read(tmp_path: Path) -> None:
    entries = [ENTRY | {"Value": vector["value_base64"], "Fingerprint": vector["fingerprint"]} for vector in VECTORS]
    assert set(listed(tmp_path, *entries).region(REGION).keys) == {vector["fingerprint"] for vector in VECTORS}


def test_a_file_of_keys_is_never_the_issuer(tmp_path: Path) -> None:
    """So that an unknown fingerprint is not taken for a forged one."""
    assert not listed(tmp_path, ENTRY).region(REGION).issuer


# -- times and names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-30T00:00:00Z",
        "2026-01-30T02:00:00+02:00",
        "2026-01-30T00:00:00.000Z",
        "2026-01-30T00:00:00",
        1769731200,
        1769731200.0,
    ],
)
def test_times_as_either_version_of_the_aws_cli_prints_them(tmp_path: Path, value: str | float) -> None:
    (key,) = listed(tmp_path, ENTRY | {"ValidityEndTime": value}).region(REGION).keys.values()
    assert key.not_after == datetime(2026, 1, 30, tzinfo=UTC)
    assert key.not_after.utcoffset() == timedelta(0)


def test_a_fingerprint_in_upper_case_is_read(tmp_path: Path) -> None:
    found = listed(tmp_path, ENTRY | {"Fingerprint": KEY.fingerprint.upper()}).region(REGION)
    assert set(found.keys) == {KEY.fingerprint}


def test_fields_that_nobody_asked_for_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, {"PublicKeyList": [ENTRY | {"More": [1]}], "NextToken": "x"})
    assert set(read_key_file(path).region(REGION).keys) == {KEY.fingerprint}


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Value": "not base64!"}, KEY.fingerprint),
        ({"Value": base64.b64encode(KEY.der).decode() + "\n"}, KEY.fingerprint),
        ({"Value": "é"}, KEY.fingerprint),
        ({"Value": ""}, "fingerprint"),
        ({"Value": base64.b64encode(signer(1).public.der).decode()}, fingerprint_of(signer(1).public.der)),
        ({"Fingerprint": "00" * 16}, KEY.fingerprint),
        ({"Fingerprint": "x\n" * 5000}, KEY.fingerprint),
        ({"Fingerprint": ""}, KEY.fingerprint),
        ({"Value": base64.b64encode(b"junk").decode(), "Fingerprint": fingerprint_of(b"junk")}, "no RSA key"),
        ({"Value": base64.b64encode(CURVE).decode(), "Fingerprint": fingerprint_of(CURVE)}, "no RSA key"),
        ({"ValidityStartTime": "yesterday"}, KEY.fingerprint),
        ({"ValidityStartTime": ""}, KEY.fingerprint),
        ({"ValidityStartTime": "0001-01-01T00:00:00+14:00"}, KEY.fingerprint),
        ({"ValidityStartTime": 1e300}, KEY.fingerprint),
        ({"ValidityStartTime": 1e18}, KEY.fingerprint),
        ({"ValidityStartTime": -1e15}, KEY.fingerprint),
        ({"ValidityStartTime": 10**400}, "list-public-keys"),
        ({"ValidityStartTime": None}, "ValidityStartTime"),
        ({"ValidityStartTime": [1]}, "ValidityStartTime"),
        ({"Value": 5}, "Value"),
        ({"Fingerprint": None}, "Fingerprint"),
        ({"Region": 5}, "Region"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "says",
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    assert says in refused(write(tmp_path, {"PublicKeyList": [ENTRY, ENTRY | change]}))


@pytest.mark.parametrize("field", sorted(ENTRY))
def test_a_key_that_lacks_a_field_is_refused(tmp_path: Path, field: str) -> None:
    entry = {name: value for name, value in ENTRY.items() if name != field}
    assert field in refused(write(tmp_path, {"PublicKeyList": [entry]}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "list-public-keys"),
        (b"\0", "list-public-keys"),
        (b"not json", "list-public-keys"),
        (b"[]", "list-public-keys"),
        (b"{}", "PublicKeyList"),
        (b'{"PublicKeyList": {}}', "PublicKeyList"),
        (b'{"PublicKeyList": [1]}', "PublicKeyList"),
        (b'{"PublicKeyList": []}', "holds no key"),
        (b'{"PublicKeyList": [{"Value": "\xff"}]}', "utf-8"),
        (b'{"PublicKeyList": [{"Value": "\\ud800"}]}', "list-public-keys"),
        (b'{"PublicKeyList": ' + b"[" * 100_000, "list-public-keys"),
        (b'{"x": ' + b"[" * 100_000, "list-public-keys"),
        (b'{"PublicKeyList": [' + json.dumps(ENTRY).encode(), "truncated"),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refused(write(tmp_path, content))


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.json")
    assert "directory" in refused(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example writes the file anew
@given(st.sampled_from([*ENTRY, "Region"]), JSON)
@example("ValidityEndTime", float("nan"))
@example("ValidityEndTime", "2026-W01")
def test_any_value_in_any_field_is_read_or_refused_in_one_line(tmp_path: Path, field: str, value: Any) -> None:
    try:
        found = listed(tmp_path, ENTRY | {field: value})
    except ConfigurationError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right
    else:
        region = value if field == "Region" and value is not None else REGION
        assert set(found.region(region).keys) == {KEY.fingerprint}
