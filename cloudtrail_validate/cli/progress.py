"""Progress on standard error: a bar for people, lines of JSON for programs.

The UI pulls: the engine keeps counters, and whoever shows them looks ten times a second, or once.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from cloudtrail_validate.core.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import TextIO

    from rich.live import Live
    from rich.progress import Progress, TaskID

INTERVAL: Final = 0.1  # seconds between two looks: smooth for an eye, nothing for a CPU
LINE_INTERVAL: Final = 1.0  # seconds between two lines of JSON: what a program polls, and a log can hold
_SAMPLES: Final = 150  # looks that the rate is taken over, 15 s: long enough to be steady, short enough to be true
_WIDE: Final = 100  # columns from which rate and elapsed time are shown as well


class Counters(Protocol):
    """What the engine counts. Read from another thread, so each value may be a moment older than the next."""

    @property
    def regions_done(self) -> int:
        """Account-regions that need no more work."""

    @property
    def regions_known(self) -> int:
        """Account-regions to validate, as far as they are known."""

    @property
    def objects_done(self) -> int:
        """Objects that need no more work, whatever came of them."""

    @property
    def objects_known(self) -> int:
        """Objects listed so far; final once `listing_done`."""

    @property
    def bytes_done(self) -> int:
        """Bytes of the objects done, as stored."""

    @property
    def findings(self) -> int:
        """Findings so far."""

    @property
    def listing_done(self) -> bool:
        """Whether the totals are final."""

    @property
    def phase(self) -> str:
        """What is being done, in a word or two."""

    @property
    def latest(self) -> Sequence[str]:
        """The latest findings as sentences, newest last. Hostile text."""


class Pace:
    """How fast it goes: objects a second over the last looks, seconds since the start, seconds left once that is known."""

    def __init__(self, counters: Counters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._began = clock()
        self._samples: deque[tuple[float, int]] = deque([(self._began, counters.objects_done)], maxlen=_SAMPLES)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def look(self) -> tuple[float, float | None]:
        """Objects a second, 0 where it cannot be said yet, and seconds left, None where the total is still open."""
        counters = self._counters
        self._samples.append((self._clock(), counters.objects_done))
        (before, first), (now, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / (now - before) if now > before else 0.0
        left = counters.objects_known - counters.objects_done
        return rate, left / rate if counters.listing_done and rate > 0 and left > 0 else None


class ProgressLines:
    """A context manager that writes the counters as lines of JSON while its body runs, one a second and one at the end.

    Each line is whole and flushed; `total_known` says whether `objects_known` is final. A stream that takes no more is no
    reason to end a run.
    """

    def __init__(
        self, counters: Counters, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counters = counters
        self._stream = sys.stderr if stream is None else stream
        self._pace = Pace(counters, clock)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.write()

    def write(self) -> None:
        """Look once and write a line."""
        try:
            self._stream.write(json.dumps(self._line()) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stop.set()

    def _line(self) -> dict[str, Any]:
        counters = self._counters
        rate, left = self._pace.look()
        return {
            "type": "progress",
            "phase": counters.phase,
            "account_regions_done": counters.regions_done,
            "account_regions_known": counters.regions_known,
            "objects_done": counters.objects_done,
            "objects_known": counters.objects_known,
            "total_known": counters.listing_done,
            "bytes_done": counters.bytes_done,
            "findings": counters.findings,
            "objects_per_second": round(rate, 1),
            "elapsed_seconds": round(self._pace.elapsed, 1),
            "seconds_left": None if left is None else round(left, 1),
        }

    def _run(self) -> None:
        while not self._stop.wait(LINE_INTERVAL):
            self.write()


class ProgressBar:
    """A context manager that shows `counters` on a terminal while its body runs, and leaves no trace behind.

    Off, without output and without a thread, where `enabled` is false or `stream` (default: standard error) is no
    terminal. `clock` gives seconds and is what the rate is measured with.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        enabled: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._stream = sys.stderr if stream is None else stream
        self.enabled = enabled and self._stream.isatty()
        self._clock = clock
        self._pace = Pace(counters, clock)
        self._stop = Event()
        self._thread: Thread | None = None
        self._live: Live | None = None
        self._progress: Progress
        self._task: TaskID

    def __enter__(self) -> Self:
        if self.enabled:
            self.start()
            self._thread = Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self.poll()
            self._live.stop()

    def start(self) -> None:
        """Put the bar on the screen, without a thread: from here on `poll` draws it."""
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        # Standard output may be a report in the making, so only standard error is routed around the bar.
        console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[numbers]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            get_time=self._clock,
        )
        self._task = self._progress.add_task("", total=None, numbers="")
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=self._stream is sys.stderr,
            vertical_overflow="crop",
        )
        self._live.start()

    def poll(self) -> None:
        """Look at the counters once and draw. Does nothing where the bar is not on the screen."""
        if self._live is None:
            return
        from rich.console import Group
        from rich.text import Text

        counters = self._counters
        total = counters.objects_known if counters.listing_done else None
        self._progress.update(
            self._task,
            description=printable(counters.phase),
            total=total,
            completed=counters.objects_done,
            numbers=self._numbers(),
        )
        lines: list[Text] = []
        if counters.findings:
            latest = counters.latest[-1:]
            line = f"{plural(counters.findings, 'finding')}  {printable(latest[0]) if latest else ''}"
            lines.append(Text(line.rstrip(), style="yellow", no_wrap=True, overflow="ellipsis"))
        table = self._progress.make_tasks_table(self._progress.tasks)
        self._live.update(Group(table, *lines), refresh=True)

    def _numbers(self) -> str:
        """`3 of 34 account-regions  1,204 of 5,000 objects  640/s  0:42  0:06 left`; a plus behind a total that grows."""
        counters = self._counters
        rate, left = self._pace.look()
        grows = "" if counters.listing_done else "+"
        parts = [f"{counters.objects_done:,} of {counters.objects_known:,}{grows} objects"]
        if counters.regions_known > 1:
            parts.insert(0, f"{counters.regions_done:,} of {counters.regions_known:,} account-regions")
        wide = self._progress.console.width >= _WIDE
        parts += [f"{rate:,.0f}/s"] if wide and rate > 0 else []
        parts += [_clock_time(self._pace.elapsed)] if wide or left is None else []
        parts += [f"{_clock_time(left)} left"] if left is not None else []
        return "  ".join(parts)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.poll()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
