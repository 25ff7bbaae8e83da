"""Snapshots of simulated trails, taken and checked by the commands themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.testing import CliRunner

from cloudtrail_validate import Request, run
from cloudtrail_validate.cli.snapshot import command as snapshot_command
from cloudtrail_validate.cli.verify_snapshot import command as verify_command
from cloudtrail_validate.report import Report, from_json
from cloudtrail_validate.simulate import FolderSink, S3Sink, Simulation, TrailSpec, simulate
from tests.scenarios import keys
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.aws import AwsServer

BUCKET = "amzn-s3-demo-bucket"
SPEC = TrailSpec(bucket=BUCKET, hours=8, logs_per_hour=2, regions=("us-east-1", "eu-west-1"), late_logs=2)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """A trail, where it is, and the options that ask for it."""

    simulation: Simulation
    where: list[str]
    source: Path | None = None

    @property
    def window(self) -> list[str]:
        manifest = self.simulation.manifest
        times = [
            "--start-time",
            f"{manifest.start:%Y-%m-%dT%H:%M:%SZ}",
            "--end-time",
            f"{manifest.end:%Y-%m-%dT%H:%M:%SZ}",
        ]
        return ["--trail-arn", manifest.trail_arn, *times]

    def snapshot(self, folder: Path, *options: str) -> Said:
        return call(snapshot_command, "--to", str(folder), *self.where, *self.window, "--no-progress", *options)

    def objects(self, aws: AwsServer | None = None) -> dict[str, bytes]:
        """Every object that lies there, markers aside."""
        if self.source is not None:
            files = (
                path for path in self.source.rglob("*") if path.is_file() and not path.name.endswith(".metadata.json")
            )
            return {path.relative_to(self.source).as_posix(): path.read_bytes() for path in files}
        assert aws is not None
        s3 = aws.client("s3")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if not item["Key"].endswith("/")]
        return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def call(command: click.Command, *args: str) -> Said:
    """Run a command as the entry point does."""
    result = CliRunner().invoke(command, list(args), standalone_mode=False)
    error = result.exception
    if isinstance(error, click.ClickException):
        return Said(error.exit_code, result.stdout, result.stderr + error.format_message())
    if error is not None:
        raise error
    return Said(int(result.return_value), result.stdout, result.stderr)


def verify(folder: Path, *options: str) -> Said:
    return call(verify_command, str(folder), *options)


def in_folder(tmp_path: Path, *tampers: str, spec: TrailSpec = SPEC) -> World:
    source, keys = tmp_path / "source", tmp_path / "public-keys.json"
    simulation = simulate(spec, FolderSink(source), tampers, new_key=same_keys())
    keys.write_text(simulation.keys.as_json())
    return World(simulation, ["--source", str(source), "--public-keys", str(keys)], source)


def in_moto(aws: AwsServer, *tampers: str, spec: TrailSpec = SPEC) -> World:
    client = aws.client("s3")
    client.create_bucket(Bucket=spec.bucket)
    simulation = simulate(spec, S3Sink(spec.bucket, client, threads=4), tampers, new_key=same_keys())
    keys.publish(aws, simulation.keys)
    aws.calls.clear()
    prefix = ["--s3-prefix", spec.prefix] if spec.prefix else []
    return World(simulation, ["--s3-bucket", spec.bucket, *prefix])


def fetched(aws: AwsServer) -> int:
    return sum(number for (permission, _), number in aws.calls.items() if permission == "s3:GetObject")


def manifest(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def copies(folder: Path) -> dict[str, bytes]:
    """The objects that a snapshot holds, by key, as its manifest tells them from its other files."""
    files = (file for file in manifest(folder)["files"] if "object" in file)
    return {file["object"]["key"]: (folder / file["path"]).read_bytes() for file in files}


def report(folder: Path) -> Report:
    return from_json((folder / "report.json").read_bytes())


def facts(told: Report, *, without: Iterable[str] = ()) -> Counter[tuple[str, ...]]:
    """Findings as any two validations of the same files must agree on them."""
    return Counter(
        (f.rule, str(f.status), str(f.key), str(f.region), str(f.start), str(f.end))
        for f in told.findings
        if f.rule not in without
    )


def offline(world: World, folder: Path, **options: Any) -> Report:
    """The plain validation of a snapshot's tree, without anything that asks AWS."""
    planted = world.simulation.manifest
    request = Request(
        start=planted.start,
        end=planted.end,
        trail_arn=planted.trail_arn,
        source=folder / "tree",
        public_keys=folder / "keys.json",
        **options,
    )
    return run(request).report


def snapshot_with_small_files(
    world: World, folder: Path, limit: int, *options: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process that may write no file of more than `limit` bytes: a disk that is full."""
    setup = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    return _in_process(setup, world, folder, *options)


def snapshot_interrupted(world: World, folder: Path, after: int) -> subprocess.CompletedProcess[str]:
    """The command, slowed, in a process that gets a SIGINT when so many files have been copied."""
    setup = f"""
import os, pathlib, signal, threading, time
def watch():
    journal = pathlib.Path({str(folder / "journal.jsonl")!r})
    while not journal.exists() or journal.read_bytes().count(b"\\n") < {after}:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=watch, daemon=True).start()"""
    return _in_process(setup, world, folder, "--concurrency", "1", "--max-rate", "20")


def _in_process(setup: str, world: World, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"{setup}\n"
        "import sys\n"
        "from cloudtrail_validate import cli\n"
        "cli.SUBCOMMANDS.setdefault('snapshot', '')\n"
        "cli.main(sys.argv[1:])\n"
    )
    args = ["snapshot", "--to", str(folder), *world.where, *world.window, "--no-progress", *options]
    # Not under coverage, whose own files would meet the limit first. -B: bytecode cut short at the limit would be left
    # beside the sources, where every later import of that module trips over it.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *args],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
