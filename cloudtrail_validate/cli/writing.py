"""Reports on their way out: checked before any work is done, to files each whole or not at all, to standard output."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.cli import no_output, silence_output
from cloudtrail_validate.cli.files import check_writable, not_written
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import formats
from cloudtrail_validate.runtime import last_words
from cloudtrail_validate.runtime.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from cloudtrail_validate.report import Report, Tally
    from cloudtrail_validate.report.examination import Examination

    _IntType = click.ParamType[int]
else:
    _IntType = click.ParamType  # older versions of click have no generic type

_MOST_SHOWN: Final = 1_000_000
_WORDS: Final = {
    **dict.fromkeys(("text", "txt", "human", "console", "terminal", "pretty"), formats.TABLE),
    **dict.fromkeys(("xml", "junit-xml"), "junit"),
    **dict.fromkeys(("ndjson", "jsonlines", "json-lines"), "jsonl"),
    "htm": "html",
}
"""What formats are called elsewhere."""


class Shown(_IntType):
    """`--show`: how many findings of each incident, or `all`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, -1 for all of them; fails with exit code 2 for anything else."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        text = str(value).strip().lower()
        if text == "all":
            return -1
        if not text.isdecimal() or not 0 < int(text) <= _MOST_SHOWN:
            self.fail(f"expected a number or all, got {printable(str(value))!r}", param, ctx)
        return int(text)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that writes a report."""
    names = "|".join((formats.TABLE, *formats.FORMATS))
    for option in reversed(
        (
            click.option(
                "--format",
                "format_",
                metavar=f"[{names}]",
                callback=lambda _context, _option, value: value.strip().lower(),
                default=formats.TABLE,
                help="Format on standard output.  [default: table]",
            ),
            click.option(
                "-o",
                "--output",
                "outputs",
                type=click.Path(path_type=Path, dir_okay=False),
                multiple=True,
                metavar="FILE",
                help=f"Write a report, too, format by ending: {formats.endings()} (repeatable).",
            ),
            click.option(
                "--show",
                type=Shown(),
                default=formats.FEW,
                metavar="N|all",
                help="Findings that the table shows of each incident.  [default: 3]",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Only verdict and findings; no progress, no remarks."),
        )
    ):
        command = option(command)
    return command


def check_outputs(format_: str, outputs: Iterable[Path]) -> None:
    """Refuse what could not be written, before any work is done. Raises `RequestError`."""
    names = (formats.TABLE, *formats.FORMATS)
    if format_ not in names:
        meant = _WORDS.get(format_)
        hint = f": did you mean {meant}?" if meant else ""
        raise RequestError(f"--format: expected {', '.join(names)}, got {format_!r}{hint}")
    for path in outputs:
        if formats.by_ending(path.name) is None:
            name = str(path)
            hint = ""
            if name == "-":
                hint = ": standard output is written by --format"
            elif name in formats.FORMATS:
                hint = f": did you mean --format {name}?"
            raise RequestError(f"--output: expected a file ending in {formats.endings()}, got {name!r}{hint}")
        check_writable("--output", path)


def write_files(report: Report, outputs: Iterable[Path], beside: Examination | None = None) -> bool:
    """Write the report's files, each whole or not at all. False where one could not be written; a line says which.

    `beside` is what doctor found, for the format that shows it.
    """
    whole = True
    for path in outputs:
        name = formats.by_ending(path.name)
        if name is None:
            continue
        try:
            _write(path, [_html(report, beside)] if beside and name == "html" else formats.documents(name, report))
        except OSError as error:
            not_written("--output", path, error)
            whole = False
    return whole


def _html(report: Report, beside: Examination | None) -> str:
    from cloudtrail_validate.report.html import render

    return render(report, beside)


def _write(path: Path, documents: list[str]) -> None:
    """Write one file, or several where a format takes only so much at a time: `x.asff.json`, `x-2.asff.json`.

    Those of an earlier, longer report are removed, so that whoever takes them all takes nothing twice.
    """
    paths = [numbered(path, number) for number in range(1, len(documents) + 1)]
    for file, text in zip(paths, documents, strict=True):
        write_whole(file, text)
    if formats.by_ending(path.name) in formats.IN_PARTS:
        stem, ending = _parts(path)
        pattern = re.compile(rf"{re.escape(stem)}-[1-9][0-9]{{0,6}}{re.escape(ending)}")
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name) and other not in paths:
                other.unlink()


def numbered(path: Path, number: int) -> Path:
    """The name of a report's `number`-th file: the first has the name that was asked for."""
    stem, ending = _parts(path)
    return path if number == 1 else path.with_name(f"{stem}-{number}{ending}")


def _parts(path: Path) -> tuple[str, str]:
    ending = formats.ending_of(path.name)
    return path.name[: len(path.name) - len(ending)], path.name[len(path.name) - len(ending) :]


def kept_as(outputs: Iterable[Path]) -> str | None:
    """The file that will hold the report as JSON, None where none does."""
    return next((str(path) for path in outputs if formats.by_ending(path.name) == "json"), None)


def print_report(
    report: Report,
    format_: str,
    *,
    tally: Tally | None = None,
    show: int | None = formats.FEW,
    quiet: bool = False,
    kept: str | None = None,
    beside: Examination | None = None,
) -> bool:
    """Write the report on standard output. False where there was no room for it: nobody has been told of a success."""
    try:
        if format_ != formats.TABLE:
            document = _html(report, beside) if format_ == "html" else formats.renderer(format_)(report)
            sys.stdout.buffer.write(document.encode())
            sys.stdout.buffer.flush()
        else:
            _table(report, tally=tally, show=show, quiet=quiet, kept=kept)
    except BrokenPipeError:
        silence_output()  # `| head` has seen enough; the exit code is still the verdict's
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and report.exit_code != ExitCode.CHANGED:
            raise
        if not no_output(error):
            last_words.answer(error)  # the verdict stands, and evidence keeps its code, though nobody could be told
        return False
    return True


def _table(report: Report, *, tally: Tally | None, show: int | None, quiet: bool, kept: str | None) -> None:
    from cloudtrail_validate.report.table import render

    shown = None if show is not None and show < 0 else show
    render(report, console(), tally=tally, show=shown, quiet=quiet, kept=kept, whole=not sys.stdout.isatty())
    sys.stdout.flush()


def console() -> Console:
    """Return rich's console on standard output, which raises `BrokenPipeError` where the reader went away."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:  # rich would exit with 1, which here means evidence of change
            raise BrokenPipeError

    return Pipe()


def print_answer(answer: Any, format_: str, table: Callable[[], object]) -> bool:
    """Write an answer on standard output: as JSON, or as `table` writes it. False where there was no room for it."""
    if format_ != "json":
        return printed(table)
    import msgspec

    from cloudtrail_validate.report.references import to_json

    return printed(lambda: sys.stdout.write(msgspec.json.format(to_json(answer), indent=2) + "\n"))


def printed(write: Callable[[], object]) -> bool:
    """Call what writes on standard output. False where there was no room for it, which is said on standard error."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()  # `| head` has seen enough; the exit code still stands
    except OSError as error:
        if not no_output(error):
            raise
        return False
    return True
