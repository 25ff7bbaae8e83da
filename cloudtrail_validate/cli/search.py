"""`ctvalidate search`: which events say this, and does a proven digest vouch for each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.cli import Interrupted, validate
from cloudtrail_validate.cli.event_output import ENDINGS, FORMATS, TABLE, take_wanted
from cloudtrail_validate.cli.scope import scope_options
from cloudtrail_validate.cli.writing import Shown
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.api import Result
    from cloudtrail_validate.request import Request
    from cloudtrail_validate.search.hits import SortedHits
    from cloudtrail_validate.search.query import Query
    from cloudtrail_validate.search.search import Searcher
    from cloudtrail_validate.search.sigma import Rules
    from cloudtrail_validate.search.summary import Summary

_FILTERS: Final = (
    "events",
    "event_sources",
    "users",
    "access_keys",
    "addresses",
    "resources",
    "errors",
    "event_ids",
    "uses",
)
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The filters, for every command that looks at events."""
    for option in reversed(
        (
            click.option(
                "--event", "events", multiple=True, metavar="NAME", help="Of this name; * and ? are wildcards."
            ),
            click.option(
                "--event-source", "event_sources", multiple=True, metavar="SERVICE", help="Of this service: s3."
            ),
            click.option("--user", "users", multiple=True, metavar="ARN|NAME", help="By this user, role or session."),
            click.option(
                "--access-key", "access_keys", multiple=True, metavar="ID", help="With or about this access key."
            ),
            click.option("--ip", "addresses", multiple=True, metavar="CIDR", help="From this address or network."),
            click.option(
                "--resource",
                "resources",
                multiple=True,
                metavar="TEXT",
                help="About what has this in its name.",
            ),
            click.option(
                "--error", "errors", multiple=True, metavar="CODE", help="That failed with this code; * for any."
            ),
            click.option("--read-only", is_flag=True, help="Only calls that read."),
            click.option("--write-only", is_flag=True, help="Only calls that change something."),
            click.option("--event-id", "event_ids", multiple=True, metavar="ID", help="The event of this id."),
            click.option("--where", metavar="JMESPATH", help="For which this expression holds."),
            click.option(
                "--use", "uses", multiple=True, metavar="NAME", help="A question with a name: root-use, denied, …"
            ),
        )
    ):
        command = option(command)
    return command


_SERVICE: Final = re.compile(r"[a-z0-9.*?-]+\.amazonaws\.com(\.cn)?")


class EventCommand(click.Command):
    """A command whose `--source` is a folder, as everywhere, and takes the name of a service for `--event-source`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a service given to `--source` for one given to `--event-source`."""
        return super().parse_args(ctx, list(_as_event_sources(args)))


def _as_event_sources(args: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, `--source SERVICE` as `--event-source SERVICE`: no folder is meant where none has the name."""
    for number, word in enumerate(args):
        name, _, value = word.partition("=")
        value = value or (args[number + 1] if number + 1 < len(args) else "")
        if name == "--source" and _SERVICE.fullmatch(value) and not Path(value).exists():
            yield f"--event-source={value}" if "=" in word else "--event-source"
        else:
            yield word


@click.command("search", cls=EventCommand, short_help="Find events, and what proves them.")
@filter_options
@click.option(
    "--rules", type=_FOLDER, metavar="DIR", help="That meet a Sigma rule in this folder; needs the sigma extra."
)
@click.option("--proven-only", is_flag=True, help="Leave out events that no proven digest vouches for.")
@click.option("--summary", is_flag=True, help="Who did what: a principal each instead of an event.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS, case_sensitive=False),
    default=TABLE,
    help="Format on standard output.  [default: table]",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help=f"Write the events, too, format by ending: {', '.join(ENDINGS)} (repeatable).",
)
@click.option("--timeline", type=_FILE, metavar="FILE", help="Write the events as one HTML page.")
@click.option("--show", type=Shown(), metavar="N|all", help="Events that the table shows.  [default: 50]")
@scope_options
@click.option("-q", "--quiet", is_flag=True, help="No progress, no remarks.")
def command(**options: Any) -> int:
    """Find events, and say of each whether a proven digest vouches for it.

    Logs are validated and searched in one pass. Values of one filter are or-ed, filters are and-ed; without any, all events
    are found. The window is that of delivery: CloudTrail delivers an event some 5 minutes after it happened.

    Exits as the validation of what was searched does, whether or not an event was found; 3 in place of 0 where a log could
    not be searched whole.
    """
    from cloudtrail_validate.search.hits import SortedHits
    from cloudtrail_validate.search.search import Searcher
    from cloudtrail_validate.search.summary import Summary

    now, quiet, proven_only, folder = now_utc(), options.pop("quiet"), options.pop("proven_only"), options.pop("rules")
    wanted = take_wanted(options, quiet=quiet)
    try:
        sink: SortedHits | Summary = Summary() if wanted.summary else SortedHits()
        sigma = load_rules(folder) if folder is not None else None
        searcher = Searcher(take_query(options), sink, proven_only=proven_only, sigma=sigma)
        request = build_request(options, now)
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
    wanted.check(request.source)
    result = validate.execute(request, now, companion=searcher, progress="none" if quiet else validate.AUTO)
    searcher.finish()
    told = wanted.write(sink, searcher.outcome(), result.report)
    return code_of(result, searcher, told=told)


def load_rules(folder: Path) -> Rules:
    """The Sigma rules of a folder. Raises `RequestError`, and a usage error where the extra is not installed."""
    from cloudtrail_validate.core.errors import ConfigurationError
    from cloudtrail_validate.search.sigma import load

    try:
        return load(folder)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def take_query(options: dict[str, Any]) -> Query:
    """Take the filters out of a command's options. Raises `RequestError`."""
    from cloudtrail_validate.search.query import Query

    reads, writes = options.pop("read_only"), options.pop("write_only")
    if reads and writes:
        raise RequestError("--read-only and --write-only: expected one of them, as no call is both")
    asked = {name: tuple(dict.fromkeys(options.pop(name))) for name in _FILTERS}
    return Query(**asked, where=options.pop("where"), read_only=True if reads else False if writes else None)


def build_request(options: dict[str, Any], now: datetime) -> Request:
    """The request that the options describe, checked. Raises `RequestError`."""
    source: Path | None = options["source"]
    if source is not None and (source / "manifest.json").is_file() and (source / "tree").is_dir():
        options["source"] = source / "tree"  # a snapshot, which holds a local copy and the keys that go with it
        options["public_keys"] = options["public_keys"] or source / "keys.json"
    request = validate.build_request(options, now)
    request.check(now)
    return request


def code_of(result: Result, searcher: Searcher, *, told: bool) -> int:
    """The validation's exit code; what was not searched, or not told, is no success."""
    code = result.report.exit_code
    if result.interrupted:
        return Interrupted(code)
    whole = told and not searcher.unsearched
    return int(ExitCode.UNPROVEN) if code == ExitCode.VALID and not whole else code
