"""Events on their way out: checked before any work is done, to files each whole or not at all, to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.cli.files import check_apart, check_writable, not_written
from cloudtrail_validate.cli.writing import console, printed
from cloudtrail_validate.runtime.files import write_pieces

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.search.hits import SortedHits
    from cloudtrail_validate.search.outcome import Outcome
    from cloudtrail_validate.search.summary import Summary

TABLE: Final = "table"
ENDINGS: Final = {".jsonl": "jsonl", ".csv": "csv", ".html": "html", ".sarif": "sarif", ".ocsf.json": "ocsf"}
FORMATS: Final = (TABLE, *ENDINGS.values())
_OF_SUMMARY: Final = frozenset({TABLE, "jsonl", "csv"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the answer is wanted: the format on standard output, files with the option that names each and their formats.

    `show` is how many the table shows, -1 for all of them, None for its default; `summary`: a principal each, not an event.
    """

    format: str
    files: tuple[tuple[str, Path, str], ...]
    show: int | None
    summary: bool
    quiet: bool

    def check(self, source: Path | None) -> None:
        """Refuse what could not be written. Raises a usage error."""
        for option, path, _ in self.files:
            check_writable(option, path)
            check_apart(option, path, source)

    def write(self, found: SortedHits | Summary, outcome: Outcome, report: Report) -> bool:
        """Write files, then standard output. False where one of them could not be written; a line says which."""
        whole = True
        for option, path, format_ in self.files:
            try:
                write_pieces(path, documents(format_, found, outcome, report))
            except OSError as error:
                not_written(option, path, error)
                whole = False
        return self._print(found, outcome, report) and whole

    def _print(self, found: SortedHits | Summary, outcome: Outcome, report: Report) -> bool:
        def write() -> None:
            if self.format == TABLE:
                self._table(found, outcome, report)
            else:
                sys.stdout.buffer.writelines(documents(self.format, found, outcome, report))
                sys.stdout.buffer.flush()
                self._remark(outcome, report)

        return printed(write)

    def _remark(self, outcome: Outcome, report: Report) -> None:
        """What the format does not say, on standard error."""
        if self.quiet:
            return
        from cloudtrail_validate.core.text import printable
        from cloudtrail_validate.report.wording import sentence
        from cloudtrail_validate.search.outcome import numbers

        click.echo(f"ctvalidate: {printable(numbers(outcome))}", err=True)
        click.echo(f"ctvalidate: {printable(sentence(report))} (exit code {report.exit_code})", err=True)
        for key, reason in outcome.unsearched.items():
            click.echo(f"ctvalidate: not searched: {printable(key)}: {printable(reason)}", err=True)

    def _table(self, found: SortedHits | Summary, outcome: Outcome, report: Report) -> None:
        from cloudtrail_validate.report.page import Page
        from cloudtrail_validate.search.summary import Summary
        from cloudtrail_validate.search.table import FEW, render_hits, render_summary

        show = FEW if self.show is None else self.show
        most = None if show < 0 else show
        page = Page(console(), whole=not sys.stdout.isatty())
        if isinstance(found, Summary):
            render_summary(page, found, len(found), outcome, report, most)
        else:
            render_hits(page, found, outcome, report, most)


def documents(format_: str, found: SortedHits | Summary, outcome: Outcome, report: Report) -> Iterator[bytes]:
    """Yield what was found in a format, in pieces."""
    from cloudtrail_validate.search import exchange, lines, timeline
    from cloudtrail_validate.search.summary import Summary

    if isinstance(found, Summary):
        yield from lines.summary_json(found) if format_ == "jsonl" else lines.summary_csv(found)
        return
    texts: Iterable[str]
    match format_:
        case "jsonl":
            yield from lines.json_lines(found)
            return
        case "csv":
            yield from lines.csv_lines(found)
            return
        case "sarif":
            texts = exchange.sarif(found, report)
        case "ocsf":
            texts = exchange.ocsf(found, report)
        case _:
            texts = timeline.render(found, outcome, report)
    for text in texts:
        yield text.encode("utf-8", "backslashreplace")


def take_wanted(options: dict[str, Any], *, quiet: bool) -> Wanted:
    """Take the options of output out of a command's options. Raises a usage error for what does not fit."""
    format_: str = options.pop("format_")
    show, summary, timeline = options.pop("show"), options.pop("summary"), options.pop("timeline")
    files = []
    for path in options.pop("outputs"):
        fitting = [name for ending, name in ENDINGS.items() if path.name.lower().endswith(ending)]
        if not fitting:
            raise click.UsageError(f"--output: expected a file ending in {', '.join(ENDINGS)}, got {str(path)!r}")
        files.append(("--output", path, fitting[0]))
    if summary and not {format_, *(name for _, _, name in files)} <= _OF_SUMMARY:
        raise click.UsageError("--summary: expected a table, .jsonl or .csv with it")
    if timeline is not None:
        if summary:
            raise click.UsageError("--timeline: expected it without --summary")
        files.append(("--timeline", timeline, "html"))
    return Wanted(format_, tuple(files), show, summary, quiet)
