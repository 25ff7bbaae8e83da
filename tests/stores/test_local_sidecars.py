"""Sidecars beside digests: whatever lies in their place is no signature, and none is an object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.sidecar import SIDECAR
from tests.stores.kit import gz
from tests.stores.oddities import LINKS, fifo, socket_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stores.kit import Place

DIGEST = "a/digest.json.gz"


@pytest.fixture
def bare(folder: Place) -> Place:
    """The folder with a digest that has no sidecar."""
    folder.put(DIGEST, gz(b"{}"), None)
    return folder


@pytest.mark.parametrize("make", [fifo, socket_file])
def test_a_sidecar_that_is_no_file_is_an_empty_one(bare: Place, tree: Path, make: Callable[[Path], None]) -> None:
    make(tree / f"{DIGEST}{SIDECAR}")
    assert bare.digest(DIGEST)[2] == {}


@pytest.mark.parametrize("make", LINKS)
def test_a_sidecar_that_leads_out_or_nowhere_is_none(bare: Place, tree: Path, make: Callable[[Path], None]) -> None:
    make(tree / f"{DIGEST}{SIDECAR}")
    assert not bare.digest(DIGEST)[2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"signature": 1}',
        b"[" * 60_000,
        b'"\\ud800"',
        b"\x00",
        b'{"signature": "\xff"}',
        b"\xff\xfe{",
    ],
)
def test_a_sidecar_that_says_nothing(bare: Place, tree: Path, data: bytes) -> None:
    (tree / f"{DIGEST}{SIDECAR}").write_bytes(data)
    assert bare.digest(DIGEST)[2] == {}


def test_a_digest_whose_sidecar_no_file_system_could_hold(folder: Place) -> None:
    folder.put("a/" + "d" * 250, gz(b"{}"), None)
    assert folder.digest("a/" + "d" * 250)[2] is None


def test_a_folder_for_a_sidecar_is_an_empty_one(bare: Place) -> None:
    # A bucket can bring it about, by a key below the digest's: so it must not pass for a copy without metadata.
    bare.put(f"{DIGEST}{SIDECAR}/x", b"", None)
    assert bare.digest(DIGEST)[2] == {}


def test_logs_have_no_sidecars(folder: Place) -> None:
    """What lies beside a log under a sidecar's name is an object like any other, and nobody's signature."""
    day = "AWSLogs/111122223333/{}/us-east-1/2026/01/01/"
    for kind in ("CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight"):
        folder.put(day.format(kind) + "x.json.gz", gz(b"{}"), {"signature": "ab"})
    assert [key for key in folder.keys("AWSLogs/") if key.endswith(SIDECAR)] == [
        day.format("CloudTrail-Insight") + "x.json.gz" + SIDECAR,
        day.format("CloudTrail") + "x.json.gz" + SIDECAR,
    ]


def test_sidecars_are_no_objects(folder: Place) -> None:
    folder.put("a/digest.json.gz", gz(b"{}"), {"signature": "ab"})
    folder.fill([f"a/alone{SIDECAR}"])
    assert folder.keys("a/") == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
    assert [info.key for info in folder.children("a/").objects] == [f"a/alone{SIDECAR}", "a/digest.json.gz"]
