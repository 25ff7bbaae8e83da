"""`ctvalidate [OPTIONS]`: parse, build a request, run it, render the report, exit with its code."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from cloudtrail_validate.cli import Interrupted, debugging, shards, telling
from cloudtrail_validate.cli.files import check_apart, check_writable, telling_of_older
from cloudtrail_validate.cli.stopping import signals_given_back, stop_on_signals
from cloudtrail_validate.cli.writing import check_outputs, kept_as, print_report, report_options, write_files
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.model import Locator, Status
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.report import formats
from cloudtrail_validate.request import Request, parse_span, parse_time
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtrail_validate.api import Companion, Result
    from cloudtrail_validate.aws.own_session import OwnSession
    from cloudtrail_validate.cli.stream import JsonLines
    from cloudtrail_validate.core.findings import Listener, Progress
    from cloudtrail_validate.core.model import Finding
    from cloudtrail_validate.engine.run import Engine
    from cloudtrail_validate.inventory.collecting import Collector

AUTO: Final = "auto"
PROGRESS: Final = (AUTO, "bar", "json", "none")  # a bar is drawn on a terminal only
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("validate", short_help="Validate a trail.")
@click.option("--trail-arn", metavar="ARN", help="The trail to validate.")
@click.option("--start-time", metavar="TIME", help="Begin of the window, ISO 8601; UTC unless it has an offset.")
@click.option("--end-time", metavar="TIME", help="End of the window.  [default: now]")
@click.option("--last", metavar="SPAN", help="The window up to now: 24h, 7d.")
@click.option("--s3-bucket", "bucket", metavar="NAME", help="Bucket to look in.  [default: the trail's]")
@click.option("--s3-prefix", "prefix", metavar="PREFIX", help="Prefix in that bucket.  [default: none]")
@click.option(
    "--also-bucket", "also_buckets", multiple=True, metavar="NAME", help="A chain may lead to this bucket (repeatable)."
)
@click.option("--account-id", "accounts", multiple=True, metavar="ID", help="Only this account (repeatable).")
@click.option("--region", "regions", multiple=True, metavar="REGION", help="Only this region (repeatable).")
@click.option(
    "--expect",
    multiple=True,
    metavar="ACCOUNT[/REGION]",
    help="What must be there, or @FILE with one a line (repeatable).",
)
@click.option("--source", type=_FOLDER, metavar="DIR", help="Validate a local copy of the bucket's tree.")
@click.option(
    "--copy-of", metavar="s3://BUCKET[/PREFIX]", help="The place that the bucket or folder given is a copy of."
)
@click.option("--follow-links", is_flag=True, help="Take links in a local copy that lead out of it as files.")
@click.option("--public-keys", type=_FILE, metavar="FILE", help="Use exported keys; see `ctvalidate keys export`.")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
@report_options
@click.option(
    "--tolerate", multiple=True, metavar="RULE", help="Leave an uncovered or unverifiable rule out of the exit code."
)
@click.option("--concurrency", type=int, metavar="N", help="Most requests in flight.  [default: 512 of each process]")
@click.option(
    "--executor",
    default="auto",
    metavar="WHERE",
    help="auto, local[:N], dask:ADDRESS or dask:FILE.json.  [default: auto]",
)
@click.option("--shard", metavar="I/N", help="Only this part of the run, for `ctvalidate merge`.")
@click.option("--plan", type=_FILE, metavar="FILE", help="Parts as `ctvalidate plan` dealt them out.")
@click.option(
    "--part",
    metavar="FILE",
    help="Where this part goes: a file, s3://BUCKET/KEY, or what ends in / and holds all parts.",
)
@click.option("--state", metavar="WHERE", help="Memory of earlier runs: FILE, DIR/ or s3://BUCKET/KEY.")
@click.option("--require-state", is_flag=True, help="Refuse to begin a new state: it must be there.")
@click.option(
    "--state-sign-with", metavar="KEY", help="Sign the memory, and take no other: an Ed25519 key file or kms:ARN."
)
@click.option("--recheck", metavar="WHAT", help="Read again what is unchanged: N/T, P% or Nd.")
@click.option("--max-duration", metavar="SPAN", help="Begin nothing more of --recheck after so long: 50m.")
@click.option(
    "--relist", default="all", metavar="SPAN", help="How far back to list again: all, or 90d.  [default: all]"
)
@click.option(
    "--inventory",
    type=_FILE,
    metavar="FILE",
    help="Keep the stored bytes' SHA-256 of what is proven: .jsonl or .parquet.",
)
@click.option("--max-rate", type=float, metavar="N", help="Most requests a second.  [default: no bound]")
@click.option(
    "--versions", is_flag=True, help="Look for the originals of altered or missing files among their versions."
)
@click.option("--lookup-events", is_flag=True, help="Ask CloudTrail's event history, too, what explains a gap.")
@telling.telling_options
@click.option("-v", "--verbose", is_flag=True, help="List every digest and log, not only findings.")
@click.option(
    "--progress",
    type=click.Choice(PROGRESS),
    default=AUTO,
    help="A bar on a terminal, or lines of JSON for programs, on standard error.  [default: auto]",
)
@click.option("--no-progress", is_flag=True, help="No progress bar, even on a terminal.")
def command(**options: Any) -> int:
    """Validate CloudTrail logs of a trail, a bucket or a local copy.

    Nothing narrows the run unless you do: all regions and all accounts that the trail writes are validated.
    """
    progress = take_progress(options, quiet=options["quiet"])
    format_, outputs, show, quiet = (options.pop(name) for name in ("format_", "outputs", "show", "quiet"))
    wanted = Wanted(format_, outputs, show, quiet, progress)
    verbose, part, inventory = options.pop("verbose"), options.pop("part"), options.pop("inventory")
    now = now_utc()
    try:
        check_outputs(wanted.format, wanted.outputs)
        options["shard"] = shards.check(part, options["shard"])
        plan = telling.take(options, format_is_table=wanted.format == formats.TABLE)
        request = build_request(options, now)
        request.check(now)
    except RequestError as error:
        raise click.UsageError(str(error)) from error
    for path in wanted.outputs:
        check_apart("--output", path, request.source)
    collector = _collector(inventory, request, now)
    objects = Objects(to_error=wanted.format != formats.TABLE) if verbose else None
    try:
        code, result = _validate(request, now, wanted, plan, objects, collector)
    except _Refusal as refusal:
        telling.tell_refusal(plan, request, now, refusal)
        raise
    telling.beat(plan, result, code)
    if part is not None and result.part is not None and not shards.write(part, result.part, request):
        return int(ExitCode.UNPROVEN) if code == ExitCode.VALID else code
    return code


class Wanted(msgspec.Struct, frozen=True):
    """How the answer is wanted."""

    format: str
    outputs: tuple[Path, ...]
    show: int | None
    quiet: bool
    progress: str


def _validate(
    request: Request,
    now: datetime,
    wanted: Wanted,
    plan: telling.Telling,
    objects: Objects | None,
    collector: Collector | None,
) -> tuple[int, Result]:
    """Run, write the files, tell who is to be told, and write what belongs on standard output."""
    lines: JsonLines | None = None
    if wanted.format == formats.STREAM:
        from cloudtrail_validate.cli.stream import JsonLines

        lines = JsonLines(request, now)
        if collector is not None:
            collector.beside = lines
    result, written = _run_and_tell(request, now, objects, wanted, plan, companion=collector or lines)
    kept = _told_of_unsaved(result, collector)
    if lines is not None:
        lines.finish(result)
        told = lines.whole
    else:
        told = render(result, wanted.format, show=wanted.show, quiet=wanted.quiet, kept=kept_as(wanted.outputs))
    code = result.report.exit_code
    if result.interrupted:
        return Interrupted(code), result
    return (code if (told and written and kept) or code != ExitCode.VALID else ExitCode.UNPROVEN), result


def _run_and_tell(
    request: Request,
    now: datetime,
    listener: Listener | None,
    wanted: Wanted,
    plan: telling.Telling,
    *,
    companion: Companion | None = None,
) -> tuple[Result, bool]:
    """The files are written before anybody is told, and once more with what became of that. False: not all of them."""
    with telling_of_older(wanted.outputs):
        result = execute(request, now, listener, companion=companion, progress=wanted.progress)
    try:
        written = write_files(result.report, wanted.outputs)
        if plan.anybody:
            result = telling.tell(plan, result)
            written = write_files(result.report, wanted.outputs)
    except KeyboardInterrupt:
        if result.report.exit_code != ExitCode.CHANGED:
            raise
        written = False  # told to stop while the report is written: evidence stays evidence
    for hint in result.report.suggestions if wanted.format != formats.TABLE else ():
        click.echo(f"ctvalidate: nothing was found: {hint}", err=True)
    if result.interrupted and not wanted.quiet:
        click.echo("ctvalidate: interrupted: the report holds what was found until then", err=True)
    return result, written


def _told_of_unsaved(result: Result, collector: Collector | None) -> bool:
    """Say what of the run could not be kept beside the report. False where something could not."""
    state = result.report.state
    told = [collector.unwritten] if collector is not None and collector.unwritten else []
    if state and isinstance(state.unsaved, str):
        told.append(state.unsaved)
    for line in told:
        click.echo(f"ctvalidate: {printable(line)}", err=True)
    return not told


def _collector(inventory: Path | None, request: Request, now: datetime) -> Collector | None:
    """What keeps an inventory, where one is wanted. Raises `click.UsageError`."""
    if inventory is None:
        return None
    from cloudtrail_validate.core.errors import ConfigurationError
    from cloudtrail_validate.inventory.collecting import Collector
    from cloudtrail_validate.inventory.files import check

    check_apart("--inventory", inventory, request.source)
    check_writable("--inventory", inventory)
    try:
        check(inventory)
        return Collector(inventory, now)
    except ConfigurationError as error:
        raise click.UsageError(printable(str(error))) from error


def take_progress(options: dict[str, Any], *, quiet: bool = False) -> str:
    """Take the options of progress out of a command's options: which of `PROGRESS` is wanted."""
    progress: str = options.pop("progress")
    off = options.pop("no_progress") or (quiet and progress == AUTO)
    return "none" if off else progress


def build_request(options: dict[str, Any], now: datetime) -> Request:
    """The request that the options describe. Raises `RequestError`."""
    start, end, last = (options.pop(name) for name in ("start_time", "end_time", "last"))
    if (start is None) == (last is None):
        raise RequestError("the window: expected either --start-time or --last, such as --last 24h")
    if last is not None and end is not None:
        raise RequestError("--last: it ends now, expected it without --end-time")
    begin = now - parse_span(last) if last is not None else parse_time(start, "--start-time")
    until = parse_time(end, "--end-time") if end is not None else now
    options["expect"] = tuple(place for text in options.get("expect", ()) for place in _named(text))
    return Request(start=begin, end=until, tolerate=frozenset(options.pop("tolerate")), **options)


def _named(text: str) -> tuple[str, ...]:
    """The places that one --expect names: itself, or the lines of `@FILE` without blank ones and `#` comments."""
    if not text.startswith("@"):
        return (text,)
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:  # a path with a zero byte, or what is no UTF-8, is a ValueError
        raise RequestError(f"--expect: cannot read {text[1:]!r}: {error}") from error
    return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def execute(
    request: Request,
    now: datetime,
    listener: Listener | None = None,
    *,
    companion: Companion | None = None,
    progress: str = AUTO,
    counters: Progress | None = None,
    on_start: Callable[[Engine], None] | None = None,
) -> Result:
    """Run a request, showing progress as asked, and stopping cleanly at the first SIGINT or SIGTERM.

    `progress` is one of `PROGRESS`; a bar is not drawn where a listener writes lines of its own. `counters` are what is
    shown, for who counts on when the run itself is done; `on_start` is given the engine, too.
    """
    from cloudtrail_validate.api import run
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, InternalError
    from cloudtrail_validate.core.findings import Progress

    counters = counters or Progress()

    def begin(engine: Engine) -> None:
        stop_on_signals(engine)
        if on_start is not None:
            on_start(engine)

    try:
        session = sign_in(request)
        with signals_given_back(), shown_progress(counters, progress, bar=listener is None):
            return run(
                request,
                session=session,
                progress=counters,
                listener=debugging.LogListener(listener) if debugging.active() else listener,
                now=now,
                on_start=begin,
                companion=companion,
            )
    except InternalError:
        raise  # told and traced as an error of this command's own
    except (RequestError, ConfigurationError, AccessError) as error:
        raise refused(error) from error


def refused(error: Exception) -> click.ClickException:
    """What the command line makes of a refusal: one line, and the contract's exit code."""
    from cloudtrail_validate.core.errors import AccessError

    code = ExitCode.UNPROVEN if isinstance(error, AccessError) else ExitCode.USAGE
    return _Refusal(printable(str(error)), code)


def shown_progress(counters: Progress, progress: str, *, bar: bool = True) -> contextlib.AbstractContextManager[object]:
    """The progress as asked, drawn while the context is open; no bar without `bar`."""
    from cloudtrail_validate.cli.progress import ProgressBar, ProgressLines

    if progress == "json":
        return ProgressLines(counters)
    return ProgressBar(counters, enabled=bar and progress in (AUTO, "bar"))


def sign_in(request: Request) -> OwnSession | None:
    """Find credentials before a progress bar is drawn, since a profile may ask for an MFA code. None where none is needed.

    Raises `ConfigurationError` and `AccessError`.
    """
    if request.source is not None and request.public_keys is not None:
        return None
    from cloudtrail_validate.aws.identity import credentials_of, make_session

    session = make_session(
        request.profile, trail_arn=request.trail_arn, regions=request.regions, role_arn=request.role_arn
    )
    credentials_of(session, session.region_name)
    return session


def render(result: Result, format_: str, **shown: Any) -> bool:
    """Write the report on standard output. False where there was no room for it: nobody has been told of a success."""
    return print_report(result.report, format_, tally=result.outcome.findings.tally, **shown)


class Objects:
    """`--verbose`: a line an object as it is checked, in the words of `aws cloudtrail validate-logs`."""

    def __init__(self, *, to_error: bool) -> None:
        self._to_error = to_error
        self._open = True

    def finding(self, finding: Finding) -> None:
        """Findings are in the report."""

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """One object's line."""
        if self._open:
            sort = "Digest file" if digest else "Log file"
            try:
                click.echo(f"{sort}\t{printable(str(where))}\t{status or 'valid'}", err=self._to_error)
            except BrokenPipeError:
                self._open = False  # the reader has seen enough; the run goes on for its exit code


class _Refusal(click.ClickException):
    """Nothing was validated: one line, and the contract's exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        setattr(self, "exit_code", int(code))  # noqa: B010  # a class variable in click's annotations
