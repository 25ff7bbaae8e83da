"""What an object costs: CPU of our process alone, beside aws-cli and beside other checkouts of this project, in one run.

Wall time says little where a responder and other people share the cores. So everything is CPU time of the command, all its
processes, by getrusage; what one more log or digest costs is the difference between two sizes. The least of all rounds is
given beside the median: what disturbs a run only ever adds to it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.bare import bare
from benchmarks.harness import ROOT, Page, Sample, WorkError, command_line, environment, interleave, options
from benchmarks.plan import Connections, Plan, Served
from benchmarks.server import COUNTED, serving
from benchmarks.trail import Work
from benchmarks.validation import ONE_PROCESS, ctvalidate, validate, window

TLS_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything: logs an hour of the smaller and the larger trail, accounts and hours of quiet ones."""

    hours: int
    few: int
    many: int
    accounts: int
    short: int
    long: int
    wide: int

    @property
    def objects(self) -> int:
        """Objects of the smaller trail, which aws-cli validates too."""
        return self.hours * (self.few + 1)

    @property
    def more_logs(self) -> int:
        """By how many logs the larger trail is larger."""
        return self.hours * (self.many - self.few)

    @property
    def more_digests(self) -> int:
        """By how many near-empty digests the longer window of quiet accounts is longer."""
        return self.accounts * 17 * (self.long - self.short)

    @property
    def wide_objects(self) -> int:
        """Objects of the organization: a digest an hour everywhere, a log an hour in each account."""
        return self.wide * self.hours * (17 + 1)


@dataclass(frozen=True, slots=True)
class Trails:
    """What is served."""

    few: Served
    many: Served
    quiet: Served
    wide: Served
    few_tls: Served
    many_tls: Served


@contextlib.contextmanager
def served(sizes: Sizes) -> Iterator[Trails]:
    """Serve everything while the body runs."""
    few = Plan(objects="made-up", hours=sizes.hours, logs_per_hour=sizes.few)
    many = Plan(objects="made-up", hours=sizes.hours, logs_per_hour=sizes.many)
    quiet = Plan(objects="made-up", accounts=sizes.accounts, regions=17, hours=sizes.long, logs_per_hour=0)
    wide = Plan(objects="made-up", accounts=sizes.wide, regions=17, hours=sizes.hours, logs_per_hour=1)
    over_tls = (msgspec.structs.replace(plan, tls=True) for plan in (few, many))
    with contextlib.ExitStack() as stack:
        yield Trails(*(stack.enter_context(serving(plan)) for plan in (few, many, quiet, wide, *over_tls)))


def to_first_request(trail: Served, checkout: Path) -> Sample:
    """Start the command, and end it when its first request to S3 arrives. All of AWS else is the responder's to answer.

    Raises `WorkError` where it ends by itself.
    """
    command = ctvalidate("--trail-arn", trail.plan.trail_arn, *window(trail.plan.hours))
    command[0] = sys.executable if checkout == ROOT else str(checkout / ".venv" / "bin" / "python")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        env = environment(trail.endpoint) | {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "CTVALIDATE_EXECUTOR": ONE_PROCESS["executor"],
        }
        began = time.perf_counter()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, env=env, cwd=checkout, stdin=quiet, stdout=quiet, stderr=quiet)

        def end_at_first() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.recv(1)
                process.send_signal(signal.SIGKILL)

        thread = threading.Thread(target=end_at_first, daemon=True)
        thread.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != -signal.SIGKILL:
        raise WorkError(f"ctvalidate ended with {process.returncode} before it had asked S3 for anything")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, 0, 0, b"", b"")


def contenders_of(checkout: Path, trails: Trails, sizes: Sizes) -> dict[str, Callable[[], Sample]]:
    """Everything that is measured of one version."""
    ask = partial(validate, checkout=checkout, options=ONE_PROCESS)
    over_tls = partial(ask, options=ONE_PROCESS | {"concurrency": str(TLS_CONNECTIONS)})
    return {
        "few": partial(ask, trails.few),
        "many": partial(ask, trails.many),
        "short": partial(ask, trails.quiet, sizes.short),
        "long": partial(ask, trails.quiet),
        "wide": partial(ask, trails.wide),
        "start": partial(to_first_request, trails.few, checkout),
        "few over TLS": partial(over_tls, trails.few_tls),
        "many over TLS": partial(over_tls, trails.many_tls),
    }


def counted(trail: Served) -> Connections:
    """What a responder has counted until now."""
    import ssl  # noqa: PLC0415  # the measured commands are to inherit a small process

    context = ssl.create_default_context(cafile=trail.ca_file)
    with urllib.request.urlopen(trail.endpoint + COUNTED, context=context) as answer:  # noqa: S310  # our own responder
        return msgspec.json.decode(answer.read(), type=Connections)


def counting(trail: Served, contender: Callable[[], Sample], told: list[Connections]) -> Callable[[], Sample]:
    """Note what a contender adds to the responder's counts each time."""

    def measured() -> Sample:
        before = counted(trail)
        sample = contender()
        after = counted(trail)
        told.append(
            Connections(
                connections=after.connections - before.connections - 1,  # the one that asked for `after`
                resumed=after.resumed - before.resumed,
                requests=after.requests - before.requests,
            )
        )
        return sample

    return measured


def rows_of(
    samples: Mapping[str, Sequence[Sample]], sizes: Sizes, pick: Callable[[Sequence[float]], float]
) -> list[str]:
    """The numbers of one version: whole run, log, digest, start-up, organization, log over TLS."""

    def cpu(name: str) -> float:
        return pick([sample.cpu for sample in samples[name]])

    def apiece(larger: str, smaller: str, number: int) -> str:
        return f"{(cpu(larger) - cpu(smaller)) / number * 1e6:,.0f} µs"

    return [
        f"{cpu('few') / sizes.objects * 1e6:,.0f} µs",
        apiece("many", "few", sizes.more_logs),
        apiece("long", "short", sizes.more_digests),
        f"{cpu('start'):.2f} s",
        f"{cpu('wide') / sizes.wide_objects * 1e6:,.0f} µs",
        apiece("many over TLS", "few over TLS", sizes.more_logs),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and publish."""
    parser = options(__doc__)
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="other checkouts, each with its .venv")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--few", type=int, default=500, help="logs an hour of the smaller trail")
    parser.add_argument("--many", type=int, default=2000, help="logs an hour of the larger trail")
    parser.add_argument("--accounts", type=int, default=10, help="quiet ones, for what a digest costs")
    parser.add_argument("--short", type=int, default=8, help="hours of these")
    parser.add_argument("--long", type=int, default=96, help="the longer window")
    parser.add_argument("--wide", type=int, default=200, help="accounts of the organization")
    given = parser.parse_args(arguments)
    sizes = Sizes(given.hours, given.few, given.many, given.accounts, given.short, given.long, given.wide)
    checkouts = {"ctvalidate": ROOT, **{path.name: path.resolve() for path in given.against}}
    with served(sizes) as trails:
        work = Work(trails.few, sizes.hours)
        contenders: dict[str, Callable[[], Sample]] = {"aws-cli": work.by_aws_cli}
        contenders["core"] = lambda: bare("core", trails.few.endpoint)[0]
        for name, path in checkouts.items():
            contenders |= {f"{name}: {what}": made for what, made in contenders_of(path, trails, sizes).items()}
        told: list[Connections] = []
        tls = "ctvalidate: many over TLS"
        contenders[tls] = counting(trails.many_tls, contenders[tls], told)
        samples = interleave(given.runs, contenders)
    rows = []
    for name in checkouts:
        own = {key.removeprefix(f"{name}: "): taken for key, taken in samples.items() if key.startswith(f"{name}: ")}
        rows += [[f"{name}, median", *rows_of(own, sizes, median)], [f"{name}, least", *rows_of(own, sizes, min)]]
    page = Page("What an object costs", command_line("cost", arguments))
    theirs = [sample.cpu for sample in samples["aws-cli"]]
    core = min(sample.cpu for sample in samples["core"]) / (sizes.hours * sizes.few) * 1e6
    ours = [sample.cpu for sample in samples["ctvalidate: few"]]
    times = [their / our for their, our in zip(theirs, ours, strict=True)]
    page.note(
        f"CPU of the command, {given.runs} interleaved rounds. The whole run is {sizes.objects:,} objects of one busy "
        f"trail. A log is the difference to {sizes.hours * sizes.many:,} of them; a digest, near-empty, that between "
        f"{sizes.short} and {sizes.long} hours of {sizes.accounts} accounts in 17 regions; the organization is "
        f"{sizes.wide} accounts in 17 regions for {sizes.hours} hours. To inflate and hash such a log costs {core:.0f} µs."
    )
    head = ["", "whole run, an object", "a log", "a digest", "start to first request", "organization, an object"]
    page.table([*head, f"a log over TLS, {TLS_CONNECTIONS} connections"], rows)
    sessions = told[-1]
    page.note(
        f"aws-cli on the same trail: {median(theirs) / sizes.objects * 1e6:,.0f} µs an object, "
        f"{median(times):.1f} times ours. Over TLS, {sessions.requests:,} requests of the larger trail came on "
        f"{sessions.connections:,} connections, {sessions.resumed:,} of which resumed an earlier session."
    )
    page.publish(given.append)


if __name__ == "__main__":
    main()
