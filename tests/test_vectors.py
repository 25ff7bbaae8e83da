"""Every vector in every store it names: the whole answer is the one expected, no finding more and none less."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloudtrail_validate import rules
from tests.scenarios import stores, vector, world
from tests.scenarios.answer import differences
from tests.scenarios.vector import CLEAN, FOLDER, Vector

if TYPE_CHECKING:
    from cloudtrail_validate import Report
    from tests.servers.aws import AwsServer

VECTORS = {path.parent.relative_to(FOLDER).as_posix(): path for path in vector.paths()}


@cache
def read(name: str) -> Vector:
    return vector.load(VECTORS[name])


def in_store(*stores: str) -> pytest.MarkDecorator:
    cases = [(name, store) for name in VECTORS for store in stores if store in read(name).stores]
    return pytest.mark.parametrize(("name", "store"), cases, ids=["-".join(case) for case in cases])


def check(name: str, store: vector.StoreName, report: Report, built: world.World) -> None:
    expect = read(name).stores[store].expect or read(name).expect
    assert differences(report, expect, built.key) == []


@in_store("local", "copy")
def test_in_a_folder(request: pytest.FixtureRequest, tmp_path: Path, name: str, store: vector.StoreName) -> None:
    aws = request.getfixturevalue("aws") if read(name).keys.source == "aws" else None
    built = world.build(read(name))
    stores.provide_keys(built, tmp_path / "keys.json", aws)
    place = stores.in_folder(built, tmp_path / "bucket", sidecars=store == "local")
    check(name, store, stores.ask(built, place, tmp_path / "keys.json"), built)


@in_store("s3")
def test_on_s3(aws: AwsServer, tmp_path: Path, name: str, store: vector.StoreName) -> None:
    built = world.build(read(name))
    stores.provide_keys(built, tmp_path / "keys.json", aws)
    place = stores.in_moto(built, aws, read(name).stores[store])
    check(name, store, stores.ask(built, place, tmp_path / "keys.json"), built)
