"""Standard streams that are closed or full: cron and daemons run commands so, and the exit code stays the verdict's."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.cli.test_guard import plain_env
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell's redirections")


def run(
    folder: Path, redirection: str, *options: str, tamper: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Validate a small trail in a shell."""
    spec = TrailSpec(hours=6, logs_per_hour=1)
    simulation = simulate(spec, FolderSink(folder / "trail"), tamper, new_key=same_keys())
    (folder / "keys.json").write_text(simulation.keys.as_json())
    manifest = simulation.manifest
    command = [sys.executable, "-m", "cloudtrail_validate", "--source", str(folder / "trail")]
    command += ["--public-keys", str(folder / "keys.json"), *options]
    command += ["--start-time", manifest.start.isoformat(), "--end-time", manifest.end.isoformat()]
    return in_shell(f"{shlex.join(command)} {redirection}")


def run_again(folder: Path, before: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Validate the trail that `run` has written, in a shell that first does something to itself."""
    words = [sys.executable, "-m", "cloudtrail_validate", "--source", str(folder / "trail"), *options]
    words += [
        "--public-keys",
        str(folder / "keys.json"),
        "--start-time",
        "2026-01-01",
        "--end-time",
        "2026-01-01T06:00",
    ]
    return in_shell(f"{before} {shlex.join(words)}", env=plain_env())


def in_shell(line: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, check=False, env=env)


@pytest.mark.parametrize(("tamper", "code"), [((), 0), (("log-missing",), 1)])
@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_else(
    tmp_path: Path, redirection: str, tamper: tuple[str, ...], code: int
) -> None:
    done = run(tmp_path, redirection, "--output", str(tmp_path / "report.json"), tamper=tamper)
    assert (done.returncode, done.stderr) == (code, "")
    assert (">&-" in redirection.split()) == (done.stdout == "")
    assert (tmp_path / "report.json").stat().st_size > 1000


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv"])
def test_a_full_disk_is_told_and_is_no_success(tmp_path: Path, format_: str) -> None:
    told = "ctvalidate: cannot write to standard output: No space left on device\n"
    (tmp_path / "changed").mkdir()
    done = run(tmp_path, ">/dev/full", "--format", format_)
    assert (done.returncode, done.stderr) == (3, told)
    done = run(tmp_path / "changed", ">/dev/full", "--format", format_, tamper=("log-missing",))
    assert (done.returncode, done.stderr) == (1, told)


BESIDE_THE_REPORT = {
    "state": ("--state", "a.state", "--state: cannot write {}: File too large"),
    "states": ("--state", "states/", "--state: cannot write {}111122223333.state: File too large"),
    "inventory": ("--inventory", "a.jsonl", "--inventory: cannot write {}: File too large"),
    "debug": ("--debug", "a.log", "--debug: the log ends early: File too large"),
}


@pytest.mark.parametrize("what", BESIDE_THE_REPORT)
@pytest.mark.parametrize(("tamper", "code"), [((), 0), (("log-missing",), 1)], ids=["clean", "changed"])
def test_what_is_kept_beside_the_report_and_finds_no_room_costs_no_evidence(
    tmp_path: Path, what: str, tamper: tuple[str, ...], code: int
) -> None:
    """A run that has found evidence says so, whatever becomes of its memory; a clean one is no success without it."""
    option, name, told = BESIDE_THE_REPORT[what]
    place = f"{tmp_path}/{name}"
    run(tmp_path, "", tamper=tamper)
    done = run_again(tmp_path, "ulimit -f 0; trap '' XFSZ;", option, place)
    assert done.returncode == (code if what == "debug" else code or 3), done.stderr
    assert done.stderr == f"ctvalidate: {told.format(place)}\n"
    assert ("Evidence of change" in done.stdout) == (code == 1)
    assert "Findings" in done.stdout or code == 0


@pytest.mark.parametrize("name", [f"{'x' * 300}.json", "loop.json"])
def test_names_that_no_file_can_have_are_refused_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.json").symlink_to("loop.json")
    done = run(tmp_path, "", "--output", str(tmp_path / name))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ctvalidate: --output: cannot write ")
