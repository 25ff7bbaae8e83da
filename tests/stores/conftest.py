"""The stores that every conformance test runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stores.kit import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores.kit import Place


@pytest.fixture(params=["local", "moto", "rclone"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Each store in turn, empty."""
    with place_of(request.param, request, monkeypatch) as made:
        yield made


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """S3 as moto serves it: with every key that S3 allows."""
    with place_of("moto", request, monkeypatch) as made:
        yield made


@pytest.fixture
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A local copy. Its tree is in `tmp_path / "tree"`."""
    with place_of("local", request, monkeypatch) as made:
        yield made
