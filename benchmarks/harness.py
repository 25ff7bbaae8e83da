"""What all benchmarks share: measured commands, alternating rounds, medians, and a page that says where and when.

Peak memory is the kernel's `ru_maxrss`, which a child inherits from the process that started it: so boto3, libcurl and
whatever else is heavy is left to the children.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "RESULTS.md"
_PACKAGES: Final = ("ctvalidate", "pycurl", "isal", "uvloop", "botocore", "awscli")
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
MEMORY_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
_LEFT_OUT: Final = frozenset(
    {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "pythondontwritebytecode"}
)  # a bundle of certificates is no part of the work; the last would have each command compile this checkout anew


class WorkError(Exception):
    """A contender did not do the work it was given, so that its time says nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One finished command: wall time and CPU time (user and system) in seconds, peak memory in bytes."""

    seconds: float
    cpu: float
    peak: int
    code: int
    output: bytes
    errors: bytes

    def words(self) -> str:
        """The end of what it said, for a message."""
        return (self.errors or self.output)[-2000:].decode("utf-8", "replace")


def environment(endpoint: str | None = None, ca_file: str | None = None) -> dict[str, str]:
    """This process's environment without AWS settings, proxies and the like, leading to the responder where there is one."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name.lower() not in _LEFT_OUT
    }
    credentials = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",  # the example pair of AWS's documentation
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    leading = {"AWS_ENDPOINT_URL": endpoint} if endpoint else {}
    return kept | credentials | leading | ({"AWS_CA_BUNDLE": ca_file} if ca_file else {})


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT) -> Sample:
    """Run a command to its end and measure it, its children included. The peak is that of the largest process.

    Children that it leaves behind, as worker processes that end with it, are counted on Linux only.
    """
    adopting = _adopt_orphans()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, process_group=0
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own hears nothing of Ctrl-C
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        used = [usage, *(_orphans(process.pid) if adopting else ())]
        cpu = sum(one.ru_utime + one.ru_stime for one in used)
        peak = max(one.ru_maxrss for one in used) * MEMORY_UNIT
        return Sample(seconds, cpu, peak, process.returncode, output.read(), errors.read())


@cache
def _adopt_orphans() -> bool:
    """Have the kernel hand children to this process whose parent has ended, which else are init's. Linux only."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _orphans(group: int) -> Iterator[resource.struct_rusage]:
    """What the processes used that a command left behind, once they have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            yield os.wait4(-group, 0)[2]


def interleave(runs: int, contenders: Mapping[str, Callable[[], Sample]]) -> dict[str, list[Sample]]:
    """Every contender once a round, so that what disturbs the computer disturbs all of them."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(runs):
        for name, contender in contenders.items():
            sample = contender()
            samples[name].append(sample)
            say(f"round {number + 1} of {runs}: {name}: {sample.seconds:.2f} s, {sample.cpu:.2f} s of CPU")
    return samples


def seconds_of(samples: Sequence[Sample]) -> float:
    """Median wall time in seconds."""
    return median(sample.seconds for sample in samples)


def cpu_of(samples: Sequence[Sample]) -> float:
    """Median CPU time in seconds."""
    return median(sample.cpu for sample in samples)


def ratio_of(slower: Sequence[float], faster: Sequence[float]) -> float:
    """Median of the ratios within each round."""
    return median(one / other for one, other in zip(slower, faster, strict=True))


class Page:
    """A result as Markdown: printed, and appended to a file where that is asked for."""

    def __init__(self, title: str, command: str) -> None:
        self._lines = [f"## {title}", "", f"`{command}`, {_when_and_where()}", ""]

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Self:
        """Add a table; its first column is names."""
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        lines = [head, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows]
        self._lines += [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            for row in lines
        ]
        self._lines.append("")
        return self

    def note(self, text: str) -> Self:
        """Add a sentence that the numbers need."""
        self._lines += [text, ""]
        return self

    def publish(self, append: Path | None) -> None:
        """Print the page, and append it to a file."""
        text = "\n".join(self._lines)
        print(text)
        if append is not None:
            if not append.exists():
                append.write_text(
                    "# Results\n\nAppended by `python -m benchmarks.NAME --append`.\n\n", encoding="utf-8"
                )
            with append.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def options(description: str | None, *, runs: int = 3) -> argparse.ArgumentParser:
    """A command line with what every benchmark takes."""
    first = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=first, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help="rounds")
    parser.add_argument("--append", type=Path, nargs="?", const=RESULTS, help="also append the result to a file")
    return parser


def command_line(name: str, arguments: Sequence[str] | None) -> str:
    """How a benchmark was called, for its page."""
    given = sys.argv[1:] if arguments is None else arguments
    shown = [word for word in given if not word.startswith("--append") and not word.endswith(".md")]
    return " ".join([f"python -m benchmarks.{name}", *shown])


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def _when_and_where() -> str:
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release()}, load {load:.1f}; Python {platform.python_version()}, {versions}."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
