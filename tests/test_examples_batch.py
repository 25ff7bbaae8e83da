"""The examples for AWS Batch: linted, and their jobs run as AWS Batch would start them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate.cli.shards import ARRAY_INDEX
from tests.examples_kit import EXAMPLES, ON_REQUEST, deliver, linux, policy_actions, shell, tool
from tests.test_examples_unattended import actions, here, statements, template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtrail_validate.simulate import Simulation
    from tests.servers.aws import AwsServer

ARRAY: Final = EXAMPLES / "batch" / "array.yaml"
MAP: Final = EXAMPLES / "batch" / "distributed-map.yaml"
PARTS_BUCKET: Final = "amzn-s3-demo-parts-bucket"
SHARDS: Final = 3


@pytest.mark.parametrize("path", [ARRAY, MAP], ids=lambda path: path.name)
def test_cloudformation_takes_the_templates(path: Path) -> None:
    done = shell(here("cfn-lint"), "--regions", "us-east-1", "--include-checks", "I", "--", str(path))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_a_part_reads_the_trail_and_the_merge_the_parts() -> None:
    resources = template(ARRAY)["Resources"]
    reading = set[str]()
    for policy, statement in statements(resources["PartRole"]):
        if policy == "read-the-trail":
            reading |= actions(statement)
        else:
            assert actions(statement) == {"s3:PutObject"}
            assert "PartsBucket" in json.dumps(statement["Resource"])
    assert reading <= policy_actions() - ON_REQUEST
    merging = [statement for _, statement in statements(resources["MergeRole"])]
    assert {action for statement in merging for action in actions(statement)} == {"s3:GetObject", "s3:ListBucket"}
    assert "TrailBucket" not in json.dumps(merging)


def command(job: str, simulation: Simulation, parameters: Mapping[str, str]) -> list[str]:
    """A job definition's command, with what AWS Batch puts into it."""
    words: list[Any] = template(ARRAY)["Resources"][job]["Properties"]["ContainerProperties"]["Command"]
    trail = {"Ref": "TrailArn"}
    arn = simulation.manifest.trail_arn or ""
    return [arn if word == trail else parameters.get(word.removeprefix("Ref::"), word) for word in words]


@linux
def test_the_jobs_run_as_an_array_and_as_a_map(aws: AwsServer, tmp_path: Path) -> None:
    simulation = deliver(aws)
    aws.client("s3").create_bucket(Bucket=PARTS_BUCKET)
    window = {
        "start": f"{simulation.manifest.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{simulation.manifest.end:%Y-%m-%dT%H:%M:%SZ}",
    }
    ctvalidate = str(tool(tmp_path))
    for run in ("array", "map"):
        parts = {"parts": f"s3://{PARTS_BUCKET}/parts/{run}/"}
        for index in range(SHARDS):
            shard = f"/{SHARDS}" if run == "array" else f"{index + 1}/{SHARDS}"
            words = command("Part", simulation, window | parts | {"shard": shard})
            part = shell(ctvalidate, *words, **{ARRAY_INDEX: str(index)} if run == "array" else {})
            assert part.returncode in (0, 4), part.stderr  # 4: there are fewer account-regions than parts
        merged = shell(ctvalidate, *command("Merge", simulation, parts), "--format", "json")
        assert merged.returncode == 0, merged.stdout + merged.stderr
        for key in (f"parts/{run}/{number}-of-{SHARDS}.part" for number in range(1, SHARDS + 1)):
            aws.client("s3").head_object(Bucket=PARTS_BUCKET, Key=key)  # where the map looks for it
        aws.client("s3").delete_object(Bucket=PARTS_BUCKET, Key=f"parts/{run}/2-of-{SHARDS}.part")
        lacking = shell(ctvalidate, *command("Merge", simulation, parts), "--format", "json")
        assert lacking.returncode == 3
        assert any(f"part 2/{SHARDS} is missing" in one["message"] for one in json.loads(lacking.stdout)["findings"])


def test_the_map_tolerates_no_failure_and_looks_for_what_a_part_leaves() -> None:
    states = template(MAP)["Resources"]["Run"]["Properties"]["Definition"]["States"]
    every = states["Validate the parts"]
    assert every["ToleratedFailurePercentage"] == 0
    assert "Catch" not in every
    inside = every["ItemProcessor"]["States"]
    (caught,) = inside["Validate a part"]["Catch"]
    assert caught["Next"] == inside["Validate a part"]["Next"] == "See whether it lies there"
    assert "Catch" not in inside["See whether it lies there"]
    assert "'-of-' & $states.input.shards & '.part'" in inside["See whether it lies there"]["Arguments"]["Key"]


def test_the_arrays_merge_runs_whatever_became_of_the_parts() -> None:
    states = template(ARRAY)["Resources"]["Run"]["Properties"]["Definition"]["States"]
    (caught,) = states["Validate the parts"]["Catch"]
    assert (caught["ErrorEquals"], caught["Next"]) == (["States.ALL"], "Merge them")
    assert states["Validate the parts"]["Next"] == "Merge them"
