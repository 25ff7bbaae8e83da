"""`--output` on every kind of full or refused target: no success without its report, no old report taken for a new one."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudtrail_validate.report import from_json
from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.simulate.helpers import same_keys

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's files, limits and shell")
OLD = datetime(2026, 3, 7, 1, 2, 3, tzinfo=UTC)


class Copy:
    """A small trail in a folder, and the command that validates it."""

    def __init__(self, folder: Path, *tampers: str) -> None:
        self.root = folder / "trail"
        spec = TrailSpec(hours=6, logs_per_hour=1)
        simulation = simulate(spec, FolderSink(self.root), tampers, new_key=same_keys())
        (folder / "keys.json").write_text(simulation.keys.as_json())
        manifest = simulation.manifest
        self.command = [sys.executable, "-m", "cloudtrail_validate", "--source", str(self.root)]
        self.command += ["--public-keys", str(folder / "keys.json")]
        self.command += ["--start-time", manifest.start.isoformat(), "--end-time", manifest.end.isoformat()]
        self.folder = folder

    def run(self, *options: str, limit: int | None = None, shell: str = "") -> subprocess.CompletedProcess[str]:
        """Validate, in a process that may write no file of more than `limit` bytes."""

        def setup() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        line = f"{shlex.join([*self.command, *options])} {shell}"
        return subprocess.run(
            ["/bin/bash", "-c", line],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=setup,  # the test starts no thread
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def yesterday(path: Path) -> Path:
    """A report of an earlier run."""
    path.write_text("yesterday's")
    os.utime(path, (OLD.timestamp(), OLD.timestamp()))
    return path


@pytest.mark.parametrize(("tamper", "code"), [((), 3), (("log-missing",), 1)])
def test_no_room_in_mid_write(tmp_path: Path, tamper: tuple[str, ...], code: int) -> None:
    copy = Copy(tmp_path, *tamper)
    out = tmp_path / "out"
    out.mkdir()
    done = copy.run("--output", str(out / "report.json"), limit=512)
    assert done.returncode == code
    assert done.stderr == f"ctvalidate: --output: cannot write {out}/report.json: File too large\n"
    assert "exit code" in done.stdout  # the table is told all the same
    assert not list(out.iterdir())


def test_what_was_there_is_moved_aside(copy: Copy, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    yesterday(out / "report.json")
    done = copy.run("--output", str(out / "report.json"), limit=512)
    assert done.returncode == 3
    assert done.stderr.endswith(
        "File too large; what an earlier run wrote there is now report.json.stale-20260307T010203Z\n"
    )
    (stale,) = out.iterdir()
    assert (stale.name, stale.read_text()) == ("report.json.stale-20260307T010203Z", "yesterday's")


def test_one_that_cannot_be_written_hinders_no_other(copy: Copy, tmp_path: Path) -> None:
    names = [str(tmp_path / "a.json"), "/dev/full", str(tmp_path / "b.csv")]
    (tmp_path / "full.json").symlink_to("/dev/full")
    names[1] = str(tmp_path / "full.json")
    done = copy.run(*(part for name in names for part in ("--output", name)))
    assert done.returncode == 3
    assert done.stderr == f"ctvalidate: --output: cannot write {names[1]}: No space left on device\n"
    assert from_json((tmp_path / "a.json").read_bytes()).exit_code == 0
    assert (tmp_path / "b.csv").stat().st_size
    assert Path("/dev/full").is_char_device()  # written to, and not replaced by a file


def test_streams_are_written_to_as_they_are(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "out.json").symlink_to("/dev/stdout")
    done = copy.run("--output", str(tmp_path / "out.json"), "--format", "csv")
    assert done.returncode == 0
    assert '"schema": "ctvalidate.report/1"' in done.stdout
    assert "rule,status," in done.stdout
    os.mkfifo(tmp_path / "pipe.json")
    with subprocess.Popen(["/bin/cat", str(tmp_path / "pipe.json")], stdout=subprocess.PIPE) as reader:
        assert copy.run("--output", str(tmp_path / "pipe.json")).returncode == 0
        assert reader.stdout is not None
        assert from_json(reader.stdout.read()).exit_code == 0
    assert (tmp_path / "pipe.json").is_fifo()


def test_a_pipe_whose_reader_has_left(copy: Copy, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    (tmp_path / "out.json").symlink_to(f"/dev/fd/{write}")
    command = [*copy.command, "--output", str(tmp_path / "out.json")]
    done = subprocess.run(command, pass_fds=[write], capture_output=True, text=True, timeout=60, check=False)
    os.close(write)
    assert done.returncode == 3
    assert re.fullmatch(r"ctvalidate: --output: cannot write .*out\.json: [A-Z][a-z ]+\n", done.stderr)
    assert "exit code" in done.stdout


@pytest.mark.parametrize("what", ["becomes a folder", "goes with its folder", "its folder is closed"])
def test_what_changes_while_the_run_goes_on(copy: Copy, tmp_path: Path, what: str) -> None:
    """What could be written to when the run began."""
    out = tmp_path / "out"
    out.mkdir()
    change = {
        "becomes a folder": "Path(sys.argv[-1]).mkdir()",
        "goes with its folder": "Path(sys.argv[-1]).parent.rmdir()",
        "its folder is closed": "Path(sys.argv[-1]).parent.chmod(0o500)",
    }[what]
    code = (
        "import sys\nfrom pathlib import Path\nfrom cloudtrail_validate import cli\n"
        "from cloudtrail_validate.cli import validate\nwrite = validate.write_files\n"
        f"def late(*args):\n    {change}\n    return write(*args)\n"
        "validate.write_files = late\ncli.main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, *copy.command[3:], "--output", str(out / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if out.exists():
        out.chmod(0o700)
    assert done.returncode == 3
    assert re.fullmatch(r"ctvalidate: --output: cannot write .*report\.json: [A-Z][a-z ]+\n", done.stderr)


@pytest.mark.parametrize("make", ["folder", "read-only folder", "no folder"])
def test_what_can_be_known_before_is_refused_before(copy: Copy, tmp_path: Path, make: str) -> None:
    path = tmp_path / "out" / "report.json"
    if make != "no folder":
        path.parent.mkdir()
    if make == "folder":
        path.mkdir()
    if make == "read-only folder":
        path.parent.chmod(0o500)
    done = copy.run("--output", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"ctvalidate: .*--output.*\n", done.stderr)


def test_where_nothing_is_validated_the_old_report_is_called_old(copy: Copy, tmp_path: Path) -> None:
    path = yesterday(tmp_path / "report.json")
    (tmp_path / "keys.json").write_text("{}")
    done = copy.run("--output", str(path))
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert told[0] == f"ctvalidate: --output: {path} is of an earlier run (2026-03-07 01:02 UTC)"
    assert path.read_text() == "yesterday's"


def test_a_new_report_takes_the_place_of_the_old_one(copy: Copy, tmp_path: Path) -> None:
    path = yesterday(tmp_path / "report.json")
    path.chmod(0o444)
    done = copy.run("--output", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert from_json(path.read_bytes()).exit_code == 0
    assert {entry.name for entry in tmp_path.iterdir()} == {"trail", "keys.json", "report.json"}


@pytest.mark.parametrize("place", ["", "AWSLogs", "AWSLogs/111122223333"])
def test_a_report_in_the_copy_is_not_taken_for_a_planted_file(copy: Copy, place: str) -> None:
    for _ in range(2):
        done = copy.run("--output", str(copy.root / place / "report.json"))
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("place", ["CloudTrail", "CloudTrail/us-east-1", "CloudTrail-Digest/us-east-1/2026/03/07"])
def test_a_report_among_the_logs_would_be(copy: Copy, tmp_path: Path, place: str) -> None:
    path = copy.root / "AWSLogs/111122223333" / place / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = copy.run("--output", str(path))
    assert done.returncode == 2
    assert "lies among the logs of the copy" in done.stderr
    snapshot = [*copy.command[:3], "snapshot", "--to", str(path.with_suffix("")), *copy.command[3:]]
    done = subprocess.run(snapshot, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--to: " in done.stderr
    assert "lies among the logs of the copy" in done.stderr
    assert not path.with_suffix("").exists()
