"""`file` and `validate` answer alike: every vector's logs, one by one, get what the vector expects of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudtrail_validate import Request
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.layout import folder_of, is_log_key, log_minute
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.evidence.prove_file import prove_file
from cloudtrail_validate.simulate import Role
from tests.scenarios import stores, vector, world
from tests.scenarios.vector import Vector
from tests.scenarios.world import World

UNNAMED = {rules.LOG_EXTRA, rules.LOG_UNDIGESTED, rules.LOG_PENDING}
MOST = 8  # logs of one vector that are proven one by one
VECTORS = {path.parent.relative_to(vector.FOLDER).as_posix(): vector.load(path) for path in vector.paths()}


def in_a_folder(item: Vector) -> bool:
    unreadable = any(edit.__class__.__name__ == "Unreadable" for edit in item.edits)
    return "local" in item.stores and item.keys.source == "file" and not unreadable


def expected_of(item: Vector, made: World) -> dict[str, str | None]:
    """The rule of each log that a run over the vector's window reports; None of those that it reads and finds proven."""
    expect = item.stores["local"].expect or item.expect
    told = {made.key(found.key): found.rule for found in expect.findings if found.key}
    start, end = item.run.start or made.start, item.run.end or made.end
    out: dict[str, str | None] = {
        key: rule for key, rule in told.items() if rule in UNNAMED and log_minute(key) and folder_of("", key)
    }
    for key, delivery in (pair for objects in made.buckets.values() for pair in objects.items()):
        minute, place = log_minute(key), folder_of("", key)
        if place is None or (item.beside and place[0].region not in made.spec.regions):
            continue  # where another trail alone writes, the run says nothing of its logs
        if delivery.role is Role.LOG and is_log_key(key) and key not in told and minute and start <= minute < end:
            out[key] = None
    return dict(sorted(out.items(), key=lambda pair: (pair[1] is None, pair[0]))[:MOST])


@pytest.mark.parametrize("name", [name for name, item in VECTORS.items() if in_a_folder(item)])
def test_one_log_gets_what_the_whole_run_says_of_it(tmp_path: Path, name: str) -> None:
    item = VECTORS[name]
    made = world.build(item)
    stores.provide_keys(made, tmp_path / "keys.json", None)
    place = stores.in_folder(made, tmp_path / "bucket", sidecars=True)
    prefix = made.spec.prefix if item.run.prefix is None else item.run.prefix
    request = Request(start=made.start, source=place.source, public_keys=tmp_path / "keys.json", prefix=prefix or None)
    for key, rule in expected_of(item, made).items():
        bucket = next((bucket for bucket, objects in made.buckets.items() if key in objects), made.spec.bucket)
        proof = prove_file(request, Locator(bucket, key), now=item.run.now or made.now)
        if proof.exit_code is not ExitCode.EMPTY:  # no digest at all: there is nothing to validate with
            assert (key, proof.rule) == (key, rule)
