"""Progress on standard error. The UI pulls: the engine keeps counters, and the bar looks at them ten times a second."""

from __future__ import annotations

import sys
import time
from collections import deque
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Protocol, Self

from cloudtrail_validate.core.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import TextIO

    from rich.live import Live
    from rich.progress import Progress, TaskID

INTERVAL: Final = 0.1  # seconds between two looks: smooth for an eye, nothing for a CPU
_SAMPLES: Final = 150  # looks that the rate is taken over, 15 s: long enough to be steady, short enough to be true
_WIDE: Final = 100  # columns from which the total of bytes is shown as well


class Counters(Protocol):
    """What the engine counts. Read from another thread, so each value may be a moment older than the next."""

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
    def bytes_known(self) -> int:
        """Bytes of the objects listed so far, as stored."""

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
        self._stop = Event()
        self._thread: Thread | None = None
        self._live: Live | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)
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
            BarColumn(bar_width=16),
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
        """`1,204 of 5,000  12.5 MB of 50.0 MB  640/s  0:06 left`; a plus behind totals that still grow."""
        counters = self._counters
        grows = "" if counters.listing_done else "+"
        parts = [f"{counters.objects_done:,} of {counters.objects_known:,}{grows}", size(counters.bytes_done)]
        if self._progress.console.width >= _WIDE:
            parts[1] += f" of {size(counters.bytes_known)}{grows}"
        rate = self._rate()
        if rate > 0:
            parts.append(f"{rate:,.0f}/s")
            left = counters.objects_known - counters.objects_done
            if counters.listing_done and left > 0:
                parts.append(f"{_clock_time(left / rate)} left")
        return "  ".join(parts)

    def _rate(self) -> float:
        """Objects a second over the last looks; 0 where it cannot be said yet."""
        self._samples.append((self._clock(), self._counters.objects_done))
        (before, first), (now, last) = self._samples[0], self._samples[-1]
        return (last - first) / (now - before) if now > before else 0.0

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.poll()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
