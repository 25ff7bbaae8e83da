"""Standard streams that are closed or full: cron and daemons run commands so, and the exit code stays the verdict's."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
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
    line = f"{shlex.join(command)} {redirection}"
    return subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)


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
