"""Parts, plans and numbers that cannot be meant: one line, the right code, and nothing overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.cli.helpers import Answer, call
from tests.scenarios import keys

Capsys = pytest.CaptureFixture[str]
SPEC: Final = TrailSpec(
    bucket="amzn-s3-demo-bucket",
    accounts=("111122223333", "444455556666"),
    organization_id="o-exampleorgid",
    regions=("us-east-1", "eu-west-1"),
    hours=4,
    logs_per_hour=1,
    events_per_log=1,
)


class Trail:
    """A copy of a trail in a folder, and the options that name it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = simulate(SPEC, FolderSink(folder / "trail"), new_key=keys.source(0))
        (folder / "keys.json").write_text(made.keys.as_json())
        times = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (made.manifest.start, made.manifest.end)]
        self.scope = ["--source", str(folder / "trail"), "--start-time", times[0], "--end-time", times[1]]
        self.options = [*self.scope, "--public-keys", str(folder / "keys.json")]

    def part(self, capsys: Capsys, *options: str) -> Answer:
        """Validate one part."""
        return call(capsys, *self.options, "--executor", "local:1", *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    return Trail(tmp_path_factory.mktemp("trail"))


def refused(ran: Answer, said: str) -> None:
    """Exit code 2, and one line of error that says so."""
    assert ran.code == 2, ran.err
    lines = [line for line in ran.err.splitlines() if line and not line.startswith(("Usage:", "Try "))]
    assert len(lines) == 1, ran.err
    assert said in lines[0]


@pytest.mark.parametrize("number", ["0", "-1", "10001"])
def test_a_number_of_shards_that_cannot_be_is_refused(made: Trail, number: str, capsys: Capsys) -> None:
    refused(call(capsys, "plan", "--shards", number, *made.options), "expected 1 to 10,000")


@pytest.mark.parametrize("executor", ["local:0", "local:10000", "local:x", "dask:"])
def test_an_executor_that_cannot_be_is_refused(made: Trail, executor: str, capsys: Capsys) -> None:
    refused(call(capsys, *made.options, "--executor", executor), "--executor: expected")


def test_of_ten_thousand_parts_most_may_be_empty(made: Trail, tmp_path: Path, capsys: Capsys) -> None:
    ran = made.part(capsys, "--shard", "9999/10000", "--part", f"{tmp_path}/")
    assert ran.code == 4, ran.err
    assert (tmp_path / "9999-of-10000.part").exists()


def test_a_stale_plan_is_refused_and_leaves_the_part_alone(tmp_path: Path, capsys: Capsys) -> None:
    trail = Trail(tmp_path)
    plan = tmp_path / "plan.jsonl"
    plan.write_text(call(capsys, "plan", "--shards", "2", *trail.options).out)
    ran = trail.part(capsys, "--shard", "1/2", "--plan", str(plan), "--part", str(tmp_path / "one.part"))
    assert ran.code == 0, ran.err
    before = (tmp_path / "one.part").read_bytes()
    digests = next((tmp_path / "trail").rglob("CloudTrail-Digest"))
    shutil.copytree(digests / "eu-west-1", digests / "eu-south-1")
    refused(
        trail.part(capsys, "--shard", "1/2", "--plan", str(plan), "--part", str(tmp_path / "one.part")), "plan anew"
    )
    assert (tmp_path / "one.part").read_bytes() == before


def test_a_folder_of_parts_is_merged_and_what_else_lies_there_is_not(
    made: Trail, tmp_path: Path, capsys: Capsys
) -> None:
    for number in (1, 2):
        ran = made.part(capsys, "--shard", f"{number}/2", "--part", f"{tmp_path}/parts/")
        assert ran.code == 0, ran.err
    (tmp_path / "parts" / "note.txt").write_text("not a part")
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {"1-of-2.part", "2-of-2.part", "note.txt"}
    merged = call(capsys, "merge", str(tmp_path / "parts"))
    assert merged.code == 0, merged.err
    twice = call(capsys, "merge", "--format", "json", str(tmp_path / "parts"), str(tmp_path / "parts" / "2-of-2.part"))
    assert twice.code == 3
    assert "is there twice" in twice.out
    (tmp_path / "parts" / "2-of-2.part").unlink()
    lacking = call(capsys, "merge", "--format", "json", str(tmp_path / "parts"))
    assert lacking.code == 3
    assert "part 2/2 is missing" in lacking.out


def test_a_part_into_a_folder_that_is_there_bears_a_name_of_its_own(
    made: Trail, tmp_path: Path, capsys: Capsys
) -> None:
    assert made.part(capsys, "--shard", "1/2", "--part", str(tmp_path)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["1-of-2.part"]


def test_a_folder_without_parts_and_a_file_that_is_none_are_refused(tmp_path: Path, capsys: Capsys) -> None:
    refused(call(capsys, "merge", str(tmp_path)), "no parts")
    (tmp_path / "x.part").write_text("{}")
    refused(call(capsys, "merge", str(tmp_path)), "no part")
    refused(call(capsys, "merge", str(tmp_path / "absent")), "cannot read")


def test_a_part_that_cannot_be_written_is_no_success(made: Trail, tmp_path: Path, capsys: Capsys) -> None:
    (tmp_path / "file").write_text("")
    ran = made.part(capsys, "--shard", "1/2", "--part", str(tmp_path / "file" / "one.part"))
    assert ran.code == 3, ran.err
    assert "cannot write" in ran.err


def test_an_array_index_that_is_missing_is_named(made: Trail, capsys: Capsys) -> None:
    refused(made.part(capsys, "--shard", "/3"), "AWS_BATCH_JOB_ARRAY_INDEX")


def test_a_part_without_a_shard_is_refused(made: Trail, tmp_path: Path, capsys: Capsys) -> None:
    refused(made.part(capsys, "--part", str(tmp_path / "x")), "--shard")
