"""Every vector in every store it names: the whole answer is the one expected, no finding more and none less.

What a vector is: tests/scenarios/vector.py.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest

from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.core.rules import TRAIL_RULES
from cloudtrail_validate.report import from_json
from cloudtrail_validate.simulate import FolderSink, Manifest, TrailSpec, simulate
from tests.scenarios import keys, stores, vector, world
from tests.scenarios.answer import counts, differences
from tests.scenarios.vector import BUCKET, CLEAN, FOLDER, Counts, Expect, Found, StoreName, Vector
from tests.servers.rclone import rclone_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer

VECTORS = {path.parent.relative_to(FOLDER).as_posix(): path for path in vector.paths()}
IN_ONE_RUN = tuple(rule for rule in TRAIL_RULES if rule != "history-rewritten")  # that takes two runs: tests/state
EVERY = pytest.mark.parametrize("name", VECTORS)


@cache
def read(name: str) -> Vector:
    return vector.load(VECTORS[name])


def expected(name: str, store: StoreName) -> Expect:
    return read(name).stores[store].expect or read(name).expect


def in_store(*stores: StoreName) -> pytest.MarkDecorator:
    cases = [(name, store) for name in VECTORS for store in stores if store in read(name).stores]
    return pytest.mark.parametrize(("name", "store"), cases, ids=["-".join(case) for case in cases])


@pytest.fixture(autouse=True)
def shared_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.create_loader", stores.models)


# The vectors


@in_store("local", "copy")
def test_in_a_folder(request: pytest.FixtureRequest, tmp_path: Path, name: str, store: StoreName) -> None:
    aws = request.getfixturevalue("aws") if read(name).keys.source == "aws" else None
    built = world.build(read(name))
    stores.provide_keys(built, tmp_path / "keys.json", aws)
    place = stores.in_folder(built, tmp_path / "bucket", sidecars=store == "local")
    report = stores.ask(built, place, tmp_path / "keys.json")
    assert differences(report, expected(name, store), built.key) == []


@in_store("local")
def test_in_the_least_memory(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, store: StoreName
) -> None:
    """Every bound at its least: a digest at a time, no reference kept, each log handed in alone, folders crowded."""
    least = {
        "engine.tools.REFERENCES_IN_MEMORY": 1,
        "engine.tools.REFERENCES_KEPT": 0,
        "engine.prove.REFERENCES_AT_ONCE": 1,
        "engine.cut.REFERENCES_AT_ONCE": 1,
        "engine.cut.MANY_A_DAY": 0,
        "engine.log_checker._QUEUED": 1,
    }
    for bound, value in least.items():
        monkeypatch.setattr(f"cloudtrail_validate.{bound}", value)
    test_in_a_folder(request, tmp_path, name, store)


@in_store("s3")
def test_on_s3(aws: AwsServer, tmp_path: Path, name: str, store: StoreName) -> None:
    built = world.build(read(name))
    stores.provide_keys(built, tmp_path / "keys.json", aws)
    place = stores.in_moto(built, aws, read(name).stores[store])
    report = stores.ask(built, place, tmp_path / "keys.json")
    assert differences(report, expected(name, store), built.key) == []


@pytest.fixture(scope="module")
def one_rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """One server for all: it takes up to five seconds to stop while connections to it are open."""
    with rclone_s3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@in_store("rclone")
def test_on_rclone(
    one_rclone: RcloneServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, store: StoreName
) -> None:
    for variable, value in one_rclone.env.items():
        monkeypatch.setenv(variable, value)
    own = msgspec.structs.replace(read(name).trail, bucket=f"amzn-s3-demo-{name.replace('/', '-')}")
    built = world.build(msgspec.structs.replace(read(name), trail=own))
    stores.provide_keys(built, tmp_path / "keys.json", None)
    place = stores.in_rclone(built, one_rclone, read(name).stores[store])
    report = stores.ask(built, place, tmp_path / "keys.json")
    assert differences(report, expected(name, store), built.key) == []


@pytest.mark.parametrize(
    "name", ["clean/plain", "log-altered/event-edited", "gap-tail/newest-deleted", "chain-absent/no-digest-at-all"]
)
def test_the_command_says_the_same(tmp_path: Path, name: str) -> None:
    built = world.build(read(name))
    stores.provide_keys(built, tmp_path / "keys.json", None)
    stores.in_folder(built, tmp_path / "bucket", sidecars=True)
    command = [sys.executable, "-m", "cloudtrail_validate", "--source", str(tmp_path / "bucket"), "--format", "json"]
    command += ["--public-keys", str(tmp_path / "keys.json")]
    command += ["--start-time", f"{built.start:%Y-%m-%dT%H:%M:%SZ}", "--end-time", f"{built.end:%Y-%m-%dT%H:%M:%SZ}"]
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert differences(from_json(ran.stdout), expected(name, "local"), built.key) == []
    assert ran.returncode == expected(name, "local").exit


# What a vector must be


def test_every_rule_has_a_vector_and_every_vector_a_rule() -> None:
    assert {read(name).rule for name in VECTORS} == {*IN_ONE_RUN, CLEAN}


def test_no_folder_is_without_its_vector() -> None:
    assert {path.parent.parent.name for path in VECTORS.values()} == {path.name for path in FOLDER.iterdir()}
    assert set(VECTORS) == {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*")}


@EVERY
def test_a_vector_is_what_its_folder_says(name: str) -> None:
    read_vector = read(name)
    assert read_vector.name == name
    assert read_vector.rule == name.partition("/")[0]
    assert read_vector.why[0].isupper()
    assert read_vector.why.endswith(".")
    answers = [read_vector.stores[store].expect or read_vector.expect for store in read_vector.stores]
    if read_vector.rule == CLEAN:
        assert {answer.exit for answer in answers} <= {0, 4}
        assert {found.status for answer in answers for found in answer.findings} <= {"notice", "uncovered"}
    else:
        assert any(read_vector.rule == found.rule for answer in answers for found in answer.findings)


def test_every_store_takes_part() -> None:
    assert {store for name in VECTORS for store in read(name).stores} == set(get_args(StoreName))


SMALL = {
    "name": "clean/x",
    "why": "Because.",
    "rule": "clean",
    "trail": {},
    "stores": {"local": {}},
    "expect": {"exit": 0, "verdict": "valid", "digests": {}, "logs": {}, "covered_seconds": 0, "findings": []},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"skip": True},
        {"trail": {"colour": "red"}},
        {"run": {"windows": 1}},
        {"edits": [{"do": "delete", "key": "k", "quietly": True}]},
        {"edits": [{"do": "shred", "key": "k"}]},
        {"stores": {"tape": {}}},
        {"expect": {**SMALL["expect"], "nearly": True}},  # type: ignore[dict-item]  # the values are of many types
        {"expect": {name: value for name, value in SMALL["expect"].items() if name != "logs"}},  # type: ignore[attr-defined]
        {"why": None},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_vector_with_anything_unknown_is_an_error(tmp_path: Path, wrong: dict[str, object]) -> None:
    path = tmp_path / "vector.json"
    path.write_bytes(msgspec.json.encode(SMALL))
    assert vector.load(path).why == "Because."
    path.write_bytes(msgspec.json.encode({**SMALL, **wrong}))
    with pytest.raises(msgspec.ValidationError):
        vector.load(path)


# What they stand on


def built_from(**parts: object) -> world.World:
    return world.build(msgspec.convert({**SMALL, **parts}, Vector))


def test_roles_name_what_they_say() -> None:
    built = built_from(
        trail={"regions": ["us-east-1", "eu-west-1"], "hours": 3, "late_logs": 3, "pending": 1, "prefix": "p"},
        beside={"other": {"trail_name": "other", "seed": 1}},
    )
    folder = "p/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/"
    stem = "2026/01/01/111122223333_CloudTrail-Digest_us-east-1_management-events_us-east-1_2026010"
    assert built.key("{digests}") == folder
    assert built.key("{digest 0}") == folder + stem + "1T000000Z.json.gz"
    assert built.key("{digest 3}") == folder + stem + "1T030000Z.json.gz"
    assert built.key("{digest 3@eu-west-1}").startswith("p/AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/")
    assert built.key("{digest 1#other}").startswith("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/01/01/")
    assert built.key("{logs}x{root}") == "p/AWSLogs/111122223333/CloudTrail/us-east-1/xp/AWSLogs/111122223333/"
    assert "_CloudTrail_us-east-1_20260101T01" in built.key("{log 2.0}")
    assert "_CloudTrail_us-east-1_20260101T03" in built.key("{stray 0}")
    for unknown in ("{digest}", "{digest 9}", "{log 1}", "{moon 1}", "{digest 1#nobody}", "{backfill 0@eu-west-3}"):
        with pytest.raises((LookupError, ValueError)):
            built.key(unknown)


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        ({"do": "delete", "key": "nothing"}, KeyError),
        ({"do": "replace", "key": "{log 1.0}", "old": "not in it", "new": "x"}, ValueError),
        ({"do": "truncate", "key": "{log 1.0}", "bytes": 100_000}, ValueError),
    ],
)
def test_an_edit_that_changes_nothing_is_an_error(edit: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        built_from(trail={"hours": 1}, edits=[edit])


def test_a_wrong_answer_differs(tmp_path: Path) -> None:
    """The comparison sees what is absent, what is more, and what is other."""
    built = world.build(read("log-altered/event-edited"))
    stores.provide_keys(built, tmp_path / "keys.json", None)
    report = stores.ask(built, stores.in_folder(built, tmp_path / "b", sidecars=True), tmp_path / "keys.json")
    right = expected("log-altered/event-edited", "local")
    assert differences(report, right, built.key) == []
    wrong: list[Callable[[Expect], Expect]] = [
        lambda e: msgspec.structs.replace(e, exit=0),
        lambda e: msgspec.structs.replace(e, verdict="valid"),
        lambda e: msgspec.structs.replace(e, logs=Counts(valid=6)),
        lambda e: msgspec.structs.replace(e, covered_seconds=1),
        lambda e: msgspec.structs.replace(e, findings=()),
        lambda e: msgspec.structs.replace(e, findings=e.findings * 2),
        lambda e: msgspec.structs.replace(e, findings=(msgspec.structs.replace(e.findings[0], key="{log 1.0}"),)),
        lambda e: msgspec.structs.replace(e, findings=(msgspec.structs.replace(e.findings[0], region="eu-west-1"),)),
    ]
    assert all(differences(report, change(right), built.key) for change in wrong)


# The simulator's own answer sheet


def unlike(manifest: Manifest, report: Report, *, without: frozenset[str] = frozenset()) -> list[str]:
    """How the findings differ from what the simulator says it planted, leaving out rules that a store cannot show."""
    wanted = tuple(
        Found(rule=e.rule, status=e.status, key=e.key, start=e.start, end=e.end, account=e.account, region=e.region)
        for e in manifest.expected()
        if e.rule not in without
    )
    same = Expect(
        exit=report.exit_code,
        verdict=str(report.verdict),
        digests=counts(report.summary.digests),
        logs=counts(report.summary.logs),
        covered_seconds=report.summary.covered_seconds,
        findings=wanted,
    )
    return differences(report, same, str)


@pytest.mark.parametrize("rule", IN_ONE_RUN)
def test_what_is_planted_is_found(tmp_path: Path, rule: str) -> None:
    regions = ("us-east-1", "eu-west-1") if rule == "chain-absent" else ("us-east-1",)
    spec = TrailSpec(bucket=BUCKET, regions=regions, hours=9, logs_per_hour=1, events_per_log=2, seed=7)
    simulation = simulate(spec, FolderSink(tmp_path / "bucket"), (rule,), new_key=keys.source(0))
    manifest, key_file = simulation.manifest, tmp_path / "keys.json"
    key_file.write_text(simulation.keys.as_json())
    request = Request(
        start=manifest.start, end=manifest.end, bucket=BUCKET, source=tmp_path / "bucket", public_keys=key_file
    )
    report = run(request, now=manifest.as_of).report
    # A file's time is no evidence of its delivery.
    assert unlike(manifest, report, without=frozenset({"log-rewritten"})) == []


def test_everything_at_once_is_found_on_s3(aws: AwsServer, tmp_path: Path) -> None:
    spec = TrailSpec(
        bucket=BUCKET,
        regions=("us-east-1", "eu-west-1", "ap-south-1"),
        logs_per_hour={"us-east-1": 1, "eu-west-1": 1, "ap-south-1": 1},
        hours=40,
        events_per_log=2,
        key_rotation_hours=12,
        spki_every=2,
        seed=11,
    )
    sink = world.MemorySink()
    simulation = simulate(spec, sink, IN_ONE_RUN, new_key=keys.source(0))
    stores.upload_to_moto({BUCKET: sink.objects}, aws)
    (tmp_path / "keys.json").write_text(simulation.keys.as_json())
    manifest = simulation.manifest
    request = Request(
        start=manifest.start, end=manifest.end, bucket=BUCKET, public_keys=tmp_path / "keys.json", concurrency=16
    )
    assert unlike(manifest, run(request, now=manifest.as_of).report) == []
