"""Exit code 1 is evidence of change and nothing else, from the first line of code on, whatever the process meets."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import pytest

from cloudtrail_validate.cli import explain
from cloudtrail_validate.runtime import last_words
from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.cli.helpers import Answer, call, finish, spawn
from tests.simulate.helpers import same_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
CODES: Final = {0, 2, 3, 4, 130}
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells, signals and limits")


def plain_env(**more: str) -> dict[str, str]:
    """This environment without coverage, which has imports, files and memory of its own before the tool's first line."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")} | more


def in_shell(before: str, *args: str, after: str = "", env: Mapping[str, str] | None = None) -> Answer:
    """Run the tool in a shell that first does something to itself."""
    command = shlex.join([sys.executable, "-m", "cloudtrail_validate", *args])
    line = ["/bin/sh", "-c", f"{before}\n{command} {after}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=env or plain_env())
    return Answer(done.returncode, done.stdout, done.stderr)


def interpreter_failed(answer: Answer) -> bool:
    """Whether Python ended before it ran a line of ours: its own code for that is 1."""
    own = "Fatal Python error" in answer.err or answer.err.startswith("Could not import runpy module")
    return answer.code == 1 and own and "cloudtrail_validate" not in answer.err


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that validate a small trail in which a log is missing."""
    return _simulate(tmp_path_factory.mktemp("changed"), ("log-missing",))


@pytest.fixture(scope="module")
def clean_trail(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that validate a small trail as it was written."""
    return _simulate(tmp_path_factory.mktemp("valid"), ())


def _simulate(folder: Path, tamper: tuple[str, ...]) -> list[str]:
    simulation = simulate(
        TrailSpec(hours=6, logs_per_hour=1), FolderSink(folder / "trail"), tamper, new_key=same_keys()
    )
    (folder / "keys.json").write_text(simulation.keys.as_json())
    window = ["--start-time", simulation.manifest.start.isoformat(), "--end-time", simulation.manifest.end.isoformat()]
    return ["--source", str(folder / "trail"), "--public-keys", str(folder / "keys.json"), *window]


# A broken installation.

POISONS: Final = {
    "missing": "import no_such_package_anywhere",
    "old": "raise RuntimeError('too old')",
    "empty": "",
    "ends the process": "import sys; sys.exit(1)",
    "endless": "def f(): f()\nf()",
    "no syntax": "def",
}


@pytest.mark.parametrize("module", ["click", "typing", "msgspec", "rich", "isal", "cryptography"])
@pytest.mark.parametrize("poison", POISONS)
def test_a_broken_package_is_a_broken_installation(
    clean_trail: list[str], tmp_path: Path, module: str, poison: str
) -> None:
    (tmp_path / f"{module}.py").write_text(POISONS[poison])
    answer = spawn(*clean_trail, env=plain_env(PYTHONPATH=str(tmp_path)))
    assert answer.code in ({2, 3} if module != "rich" else {3})  # rich prints the report: the run was whole by then
    assert "install ctvalidate again" in answer.line or "internal error" in answer.line
    assert answer.out == ""


def test_evidence_keeps_its_code_though_nothing_can_print_it(trail: list[str], tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text(POISONS["missing"])
    answer = spawn(*trail, env=plain_env(PYTHONPATH=str(tmp_path)))
    assert (answer.code, answer.out) == (1, "")
    assert "rich" in answer.line


# The end.

LEFT: Final = """
import atexit
from cloudtrail_validate import __main__ as start

def run(first=start._run):
    code = first()
    atexit.register(print, "handler")
    return code

start._run = run
start.entry()
"""


@pytest.mark.parametrize(("args", "code"), [(["--version"], 0), (["--no-such-option"], 2)])
def test_what_was_registered_runs_before_the_process_is_left(args: list[str], code: int) -> None:
    """What a library does at the end is done, and what it prints arrives."""
    line, env = [sys.executable, "-c", LEFT, *args], plain_env()
    env.pop("PYTHONUNBUFFERED", None)  # then nothing would be left to write out
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stdout.endswith("handler\n")


# Interrupts.


@posix
@pytest.mark.parametrize("number", range(0, 280, 8))
def test_an_interrupt_during_any_import(clean_trail: list[str], number: int) -> None:
    """The signal comes when the command looks for its so-and-so-many-th module; late ones find none to come with."""
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        f"    left = {number}\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        Finder.left -= 1\n"
        "        if Finder.left == 0:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from cloudtrail_validate.__main__ import entry\n"
        "entry()\n"
    )
    line = [sys.executable, "-c", code, *clean_trail]
    done = subprocess.run(line, env=plain_env(), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == -signal.SIGINT:  # before the guard stood; a shell calls it 130
        assert number <= 16
        return
    assert done.returncode in {0, 130}
    assert "Traceback" not in done.stderr
    assert done.stderr.strip() == ("ctvalidate: interrupted" if done.returncode else "")


@posix
def test_an_interrupt_at_any_moment(clean_trail: list[str]) -> None:
    chance = random.Random(7)
    for _ in range(60):
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudtrail_validate", *clean_trail],
            env=plain_env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            process.wait(chance.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        answer = finish(process)
        if answer.code == -signal.SIGINT or interpreter_failed(answer):
            continue  # Python was not as far as our first line; a shell calls the former 130
        assert answer.code in CODES, answer
        assert "Traceback" not in answer.err, answer


# Streams.


@posix
@pytest.mark.parametrize("streams", [s for n in (1, 2, 3) for s in itertools.combinations(("0<&-", "1>&-", "2>&-"), n)])
def test_closed_streams(trail: list[str], tmp_path: Path, streams: tuple[str, ...]) -> None:
    (tmp_path / "click.py").write_text(POISONS["missing"])
    for env, args, code in (
        (plain_env(), ["--last", "soon"], 2),
        (plain_env(), ["--help"], 0),
        (plain_env(), trail, 1),
        (plain_env(PYTHONPATH=str(tmp_path)), trail, 2),
    ):
        answer = in_shell("", *args, after=" ".join(streams), env=env)
        assert answer.code == code
        assert bool(answer.err) == (code == 2 and "2>&-" not in streams)
        assert len(answer.err.splitlines()) <= 1


# Limits.


@posix
@pytest.mark.parametrize("files", [*range(6, 17), 24, 64])
def test_few_descriptors(clean_trail: list[str], files: int) -> None:
    answer = in_shell(f"ulimit -n {files}", *clean_trail)
    assert answer.code in ({0, 2, 3} if files >= 12 else {3}), answer  # 2: a file of keys that cannot be read
    if not answer.out:
        assert "too many open files" in answer.line.lower()
    assert answer.code == 0 or files < 64


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no such limit")
@pytest.mark.parametrize("kilobytes", [*range(15_000, 150_000, 9_000), 250_000])
def test_little_memory(clean_trail: list[str], kilobytes: int) -> None:
    answer = in_shell(f"ulimit -v {kilobytes}", *clean_trail)
    if not answer.out and (answer.code == 127 or "Python" in answer.err.partition("\n")[0]):
        return  # the loader, or Python itself, did not fit
    if answer.code == 128 + signal.SIGABRT and answer.err.startswith("memory allocation of "):
        return  # what is written in Rust (cryptography) ends the process itself: 1 limit in 200 meets it
    # Python calls some of its own failures to allocate a SystemError, which is a broken installation during an import.
    assert answer.code in ({0, 3} if kilobytes > 30_000 else {2, 3}), answer
    if answer.code == 0 or answer.out:
        return
    *before, line = answer.err.splitlines()
    assert not before or before[0].startswith("ERROR:root:code for hash"), answer  # hashlib's own, as it is imported
    assert line.startswith("ctvalidate: ")
    told = {f"ctvalidate: {words}" for words in (last_words._NO_MEMORY, last_words._NO_THREADS)}
    assert answer.code != 3 or line in told


@posix
@pytest.mark.parametrize("columns", ["0", "00", " 0", "1", "-1", "x", "", "99999"])
def test_odd_widths(clean_trail: list[str], columns: str) -> None:
    assert len(spawn(*clean_trail, env=plain_env(COLUMNS=columns)).out.splitlines()) > 10
    for args in (clean_trail, ["--help"], ["explain", "log-extra"], ["--last", "soon"]):
        answer = spawn(*args, env=plain_env(COLUMNS=columns, LINES=columns))
        assert answer.code == (2 if "soon" in args else 0)
        assert bool(answer.err) == (answer.code == 2)


@posix
@pytest.mark.parametrize("streams", [">full", "2>full", ">full 2>&1", ">full 2>full"])
def test_files_that_take_no_byte_change_no_code(
    trail: list[str], clean_trail: list[str], tmp_path: Path, streams: str
) -> None:
    """`ulimit -f 0`: not even the line that says so can be written."""
    (tmp_path / "full").touch()
    after = streams.replace("full", str(tmp_path / "full"))
    assert in_shell("ulimit -f 0", *trail, after=after).code == 1
    assert in_shell("ulimit -f 0", *clean_trail, after=after).code == (0 if streams == "2>full" else 3)
    assert in_shell("ulimit -f 0", "--last", "soon", after=after).code == 2


@posix
def test_no_temporary_folder() -> None:
    """No file can be written anywhere, so none is a place for temporary ones."""
    answer = in_shell("ulimit -f 0", "demo")
    assert answer.code == 2
    assert answer.line == f"ctvalidate: {last_words._NO_TEMPORARY}"


def test_a_temporary_folder_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    answer = spawn("demo", env=plain_env(TMPDIR=str(tmp_path / "nowhere")))
    assert answer.code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the working directory of a process")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["demo"], 0),
        (["--help"], 0),
        (["--source", "trail", "--last", "3h"], 2),
        (["--s3-bucket", "amzn-s3-demo-bucket", "--last", "3h", "--public-keys", "keys.json"], 2),
        (["recover", "report.json", "--to", "originals"], 2),
    ],
)
def test_a_working_directory_that_was_deleted(tmp_path: Path, args: list[str], code: int) -> None:
    gone = tmp_path / "gone"
    answer = in_shell(f"mkdir {gone}; cd {gone}; rmdir {gone}", *args, env=plain_env(PYTHONPATH=str(ROOT)))
    assert answer.code == code
    assert code == 0 or answer.line


# Whatever else may be raised, at the one place that all of it comes to.


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (click.ClickException("of no kind"), 2, "of no kind"),
        (click.FileError("x", "not there"), 2, "not there"),
        (SystemExit(1), 3, "ended with 1"),
        (SystemExit("text"), 3, "ended with 'text'"),
        (SystemExit(), 3, "ended with None"),
        (MemoryError(), 3, "not enough memory"),
        (SystemError("error return without exception set"), 3, "not enough memory"),
        (SystemError("<built-in function x> returned NULL without setting an exception"), 3, "not enough memory"),
        (SystemError("bad argument to internal function"), 3, "internal error"),
        (RecursionError("maximum recursion depth exceeded"), 3, "RecursionError: maximum"),
        (asyncio.CancelledError(), 3, "internal error"),
        (BaseExceptionGroup("several", [GeneratorExit()]), 3, "internal error"),
        (ImportError("x.so: failed to map segment from shared object"), 3, "not enough memory"),
        (ModuleNotFoundError("No module named 'rich'"), 2, "install ctvalidate again"),
        (OSError(errno.EMFILE, "Too many open files"), 3, "ulimit -n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 3, "not enough memory"),
        (RuntimeError("can't start new thread"), 3, "ulimit -u"),
        (ValueError("\x1b[31mred\nand more"), 3, "ValueError: \\x1b[31mred and more"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_nobody_expected(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(explain.command, "callback", fail)
    answer = call(capsys, "explain", "log-extra")
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.line


def test_an_interrupt_stays_one_whatever_a_library_makes_of_it() -> None:
    error = ImportError("initialization of _thing raised unreported exception")
    error.__cause__ = KeyboardInterrupt()
    assert last_words.explain(error) == ("interrupted", 130)


def test_a_loop_of_causes_is_read_to_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert last_words.explain(first)[1] == 3


def test_the_traceback_is_shown_on_request(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(POISONS["old"])
    answer = spawn("--help", env=plain_env(PYTHONPATH=str(tmp_path), CTVALIDATE_DEBUG="1"))
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("ctvalidate: a package is missing or broken")
