from __future__ import annotations

import io
import json
import re
import threading
from dataclasses import dataclass, field

import pytest

from cloudtrail_validate.cli.progress import ProgressBar, ProgressLines


@dataclass
class Counts:
    regions_done: int = 0
    regions_known: int = 0
    objects_done: int = 0
    objects_known: int = 0
    bytes_done: int = 0
    findings: int = 0
    listing_done: bool = False
    phase: str = "Hashing"
    latest: list[str] = field(default_factory=list)


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and gives back what is on its last frame without the escape sequences."""

    def isatty(self) -> bool:
        return True

    def frame(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


@pytest.fixture(autouse=True)
def terminal_of_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def drawn(counts: Counts, *, times: list[float] | None = None) -> tuple[ProgressBar, Terminal]:
    moments = times or [0.0]
    stream = Terminal()
    bar = ProgressBar(counts, stream=stream, clock=lambda: moments[0])
    bar.start()
    bar.poll()
    return bar, stream


def test_while_the_listing_goes_on_totals_are_open_and_no_time_is_promised() -> None:
    times = [0.0]
    counts = Counts(regions_done=3, regions_known=34, objects_done=10, objects_known=2_500, bytes_done=5_000)
    bar, stream = drawn(counts, times=times)
    times[0], counts.objects_done = 1.0, 650
    stream.frame()
    bar.poll()
    frame = stream.frame()
    assert "Hashing" in frame
    assert "3 of 34 account-regions  650 of 2,500+ objects" in frame
    assert "640/s  0:01" in frame
    assert "left" not in frame


def test_once_the_total_is_known_the_time_left_follows_from_the_rate() -> None:
    times = [0.0]
    counts = Counts(objects_known=10_000, listing_done=True)
    bar, stream = drawn(counts, times=times)
    times[0], counts.objects_done = 10.0, 1_000
    stream.frame()
    bar.poll()
    frame = stream.frame()
    assert "1,000 of 10,000 " in frame
    assert "100/s  0:10  1:30 left" in frame


def test_the_rate_is_that_of_the_last_looks_not_of_the_whole_run() -> None:
    times = [0.0]
    counts = Counts(objects_known=10_000_000, listing_done=True)
    bar, stream = drawn(counts, times=times)
    for _ in range(300):
        times[0] += 0.1
        counts.objects_done += 1_000
        bar.poll()
    for _ in range(200):
        times[0] += 0.1
        counts.objects_done += 10
        bar.poll()
    stream.frame()
    bar.poll()
    frame = stream.frame()
    assert "100/s" in frame
    assert re.search(r"26:\d\d:\d\d left", frame)


def test_80_columns_hold_places_objects_and_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    times = [0.0]
    counts = Counts(regions_done=12, regions_known=34, objects_known=5_000, phase="validating")
    bar, stream = drawn(counts, times=times)
    times[0], counts.objects_done = 42.0, 1_204
    stream.frame()
    bar.poll()
    assert stream.frame().strip().endswith("12 of 34 account-regions  1,204 of 5,000+ objects  0:42")
    counts.listing_done = True
    bar.poll()
    assert stream.frame().strip().endswith("12 of 34 account-regions  1,204 of 5,000 objects  2:12 left")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_gets_one_line_a_frame(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    counts = Counts(objects_done=65_000_000, objects_known=120_000_000, bytes_done=10**13)
    _, stream = drawn(counts)
    frame = stream.frame().strip("\n")
    assert len(frame.splitlines()) == 1
    assert len(frame) <= columns


def test_findings_are_counted_and_the_latest_is_shown_harmless_on_one_line() -> None:
    counts = Counts(findings=1_204, latest=["older", "log \x1b[2J[red]planted[/red]\n\u202e" + "x" * 300])
    _, stream = drawn(counts)
    raw = stream.getvalue()
    frame = stream.frame()
    assert "1,204 findings  log \\x1b[2J[red]planted[/red]\\x0a\\u202ex" in frame
    assert "older" not in frame
    assert "\x1b[2J" not in raw
    assert max(map(len, frame.splitlines())) <= 100


def test_a_hostile_phase_is_harmless() -> None:
    _, stream = drawn(Counts(phase="[bold]x\x07"))
    assert "[bold]x\\x07" in stream.frame()


@pytest.mark.parametrize(
    ("stream", "enabled"), [(io.StringIO(), True), (Terminal(), False)], ids=["not a terminal", "switched off"]
)
def test_off_means_no_output_and_no_thread(stream: io.StringIO, enabled: bool) -> None:
    before = threading.active_count()
    with ProgressBar(Counts(objects_known=1), stream=stream, enabled=enabled) as bar:
        assert threading.active_count() == before
        bar.poll()
    assert stream.getvalue() == ""


def test_the_thread_draws_until_the_body_ends_and_the_last_word_is_clean_up() -> None:
    seen = threading.Event()

    class Watched(Counts):
        def __getattribute__(self, name: str) -> object:
            if name == "objects_done" and threading.current_thread().name == "progress":
                seen.set()
            return super().__getattribute__(name)

    stream = Terminal()
    with ProgressBar(Watched(objects_done=3, objects_known=4), stream=stream):
        assert seen.wait(10)
    assert "3 of 4+" in stream.frame()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_an_error_in_the_body_passes_through_and_the_screen_is_given_back() -> None:
    stream = Terminal()
    with pytest.raises(KeyError), ProgressBar(Counts(), stream=stream):
        raise KeyError
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l") >= 0  # cursor hidden, then shown


def test_lines_for_programs_are_json_and_the_last_one_tells_the_end() -> None:
    stream, times = io.StringIO(), [0.0]
    counts = Counts(regions_done=1, regions_known=2, objects_known=100, phase="validating \x1b[2J")
    with ProgressLines(counts, stream=stream, clock=lambda: times[0]) as lines:
        lines.write()
        times[0], counts.objects_done, counts.listing_done = 10.0, 50, True
        lines.write()
        counts.objects_done, counts.regions_done, counts.phase = 100, 2, "done"
    first, *_, second, last = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first == {
        "type": "progress",
        "phase": "validating \x1b[2J",
        "account_regions_done": 1,
        "account_regions_known": 2,
        "objects_done": 0,
        "objects_known": 100,
        "total_known": False,
        "bytes_done": 0,
        "findings": 0,
        "objects_per_second": 0.0,
        "elapsed_seconds": 0.0,
        "seconds_left": None,
    }
    assert (second["objects_per_second"], second["elapsed_seconds"], second["seconds_left"]) == (5.0, 10.0, 10.0)
    assert (last["phase"], last["objects_done"], last["seconds_left"]) == ("done", 100, None)
    assert "\x1b" not in stream.getvalue()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_a_reader_of_lines_that_goes_away_ends_no_run() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with ProgressLines(Counts(), stream=Closed()) as lines:
        lines.write()
