"""`ctvalidate diff ORIGINAL ALTERED`: two logs event by event."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloudtrail_validate.cli.scope import check_role
from cloudtrail_validate.core.text import plural, printable, size
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.core.trouble import Login
    from cloudtrail_validate.core.versions import Changed, Event
    from cloudtrail_validate.evidence.diff import LogDiff, Side
    from cloudtrail_validate.report.page import Page

_S3: Final = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+?)(?:\?versionId=(?P<version>[^?]+))?", re.DOTALL)
_CODES: Final = {"same": ExitCode.VALID, "different": ExitCode.CHANGED, "unknown": ExitCode.UNPROVEN}
_PIECE_BYTES: Final = 1024 * 1024


@click.command("diff", short_help="Compare two logs event by event.")
@click.argument("original")
@click.argument("altered")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--endpoint-url", metavar="URL", help="Endpoint for AWS requests.")
@click.option("--role-arn", metavar="ARN", help="Role to assume first.")
@click.option("--external-id", metavar="ID", help="External id for that role.")
def command(
    original: str,
    altered: str,
    *,
    format_: str,
    profile: str | None,
    endpoint_url: str | None,
    role_arn: str | None,
    external_id: str | None,
) -> int:
    """Show which events of the log ORIGINAL are gone, changed or new in the log ALTERED.

    Each is a file, or s3://BUCKET/KEY, or s3://BUCKET/KEY?versionId=ID; gzip or inflated, at most 256 MB inflated.
    Events are matched by eventID; their order and their formatting do not count.

    Exit codes: 0 the same events, 1 different ones, 2 wrong command line or no such log, 3 one could not be read.
    """
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, StoreError
    from cloudtrail_validate.evidence.diff import TooLargeError, compare

    check_role(role_arn, external_id)
    login = _Login(profile, endpoint_url, role_arn, external_id)
    try:
        result = compare(_pieces(original, login), _pieces(altered, login), names=(original, altered))
    except _NoSuchLogError as error:
        return _refuse(str(error), ExitCode.USAGE)
    except ConfigurationError as error:
        return _refuse(str(error), ExitCode.USAGE)
    except (AccessError, StoreError, TooLargeError) as error:
        return _refuse(str(error), ExitCode.UNPROVEN)
    _render(result, format_)
    return int(_CODES[result.verdict])


@dataclass(slots=True)
class _Login:
    """Who asks AWS; asked for only where a side lies there."""

    profile: str | None
    endpoint_url: str | None
    role_arn: str | None
    external_id: str | None
    _aws: Aws | None = None

    @property
    def kind(self) -> Login | None:
        """How the credentials were come by, as far as that is known."""
        return self._aws.login if self._aws else None

    def aws(self, key: str) -> Aws:
        """The way into AWS, in the partition of a log's key. Raises `ConfigurationError` and `AccessError`."""
        from cloudtrail_validate.aws.session import Aws
        from cloudtrail_validate.core.layout import region_in

        if self._aws is None:
            self._aws = Aws(
                profile=self.profile,
                endpoint_url=self.endpoint_url,
                role_arn=self.role_arn,
                external_id=self.external_id,
                like=region_in(key),
            )
        return self._aws


class _NoSuchLogError(Exception):
    """There is nothing by that name, or no way to ask."""


def _pieces(name: str, login: _Login) -> Iterator[bytes]:
    """The bytes of a file or object, opened when they are asked for.

    Raises `_NoSuchLogError`, or `AccessError` or `ConfigurationError` where something is there and cannot be read.
    """
    from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, StoreError
    from cloudtrail_validate.core.model import Locator
    from cloudtrail_validate.core.trouble import refused
    from cloudtrail_validate.evidence.objects import opened

    place = _S3.fullmatch(name)
    if place is None:
        yield from _file(name)
        return
    try:
        with opened(login.aws(place["key"]), Locator(place["bucket"], place["key"]), place["version"]) as body:
            yield from body.pieces
    except (AbsentError, ConfigurationError) as error:
        raise _NoSuchLogError(f"{name}: {error}") from error
    except StoreError as error:
        on = f"s3://{place['bucket']}/{place['key']}"
        permission = "s3:GetObjectVersion" if place["version"] else "s3:GetObject"
        raise refused(error, f"cannot read {name}", permission=permission, on=on, login=login.kind) from error


def _file(name: str) -> Iterator[bytes]:
    if name.startswith("s3://"):
        raise _NoSuchLogError(f"{name}: expected s3://BUCKET/KEY")
    try:
        with Path(name).open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except (OSError, ValueError) as error:
        raise _NoSuchLogError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def _refuse(message: str, code: ExitCode) -> int:
    click.echo(f"ctvalidate: {printable(message)}", err=True)
    return int(code)


def _render(diff: LogDiff, format_: str) -> None:
    if format_ == "json":
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(diff), indent=2) + b"\n")
        sys.stdout.buffer.flush()
        return
    from cloudtrail_validate.cli.writing import console
    from cloudtrail_validate.report.page import Page

    _table(diff, Page(console(), whole=not sys.stdout.isatty()))


_WORDS: Final = {
    "same": ("SAME", "bold green", "The same events"),
    "different": ("DIFFERENT", "bold red", "Not the same events"),
    "unknown": ("UNKNOWN", "bold yellow", "The events could not be compared"),
}


def _table(diff: LogDiff, page: Page) -> None:
    """The comparison for a terminal: the answer, both sides, then every event that differs."""
    word, style, sentence = _WORDS[diff.verdict]
    counts = diff.counts
    numbers = (
        f"{counts.removed:,} removed, {counts.changed:,} changed, {counts.added:,} added, {counts.unchanged:,} equal"
    )
    page.line((word, style), f"  {sentence}: {numbers}.")
    _side(page, "Original", diff.original)
    _side(page, "Altered", diff.altered)
    if diff.verdict == "same" and diff.original.sha256 != diff.altered.sha256:
        page.wrapped("The bytes differ, in formatting, in order, or outside of the events.", indent=2)
    _heading(page, "Removed", counts.removed, len(diff.removed))
    for event in diff.removed:
        _event(page, event, ("- ", "red"))
    _heading(page, "Changed", counts.changed, len(diff.changed))
    for changed in diff.changed:
        _event(page, changed.event, ("~ ", "yellow"))
        _changes(page, changed)
    _heading(page, "Added", counts.added, len(diff.added))
    for event in diff.added:
        _event(page, event, ("+ ", "green"))
    _heading(page, "Event ids that occur more than once", counts.duplicates, len(diff.duplicates))
    for twice in diff.duplicates:
        page.wrapped(
            f"{twice.event_id}: {twice.original:,} times in the original, {twice.altered:,} in the altered", indent=2
        )


def _side(page: Page, title: str, side: Side) -> None:
    page.wrapped(side.name, lead=(f"{title:<8}  ", "bold"), indent=2)
    page.line(f"{plural(side.events, 'event')}, {size(side.size)}", indent=12)
    page.wrapped(f"SHA-256 {side.sha256}", indent=4)  # whole at 80 columns: a cut hash looks like another one
    for wrong in dict.fromkeys(filter(None, (side.flaw, side.problem))):
        page.wrapped(wrong, style="bold red", indent=12)


def _heading(page: Page, title: str, number: int, listed: int) -> None:
    if number:
        page.line()
        page.line((title, "bold"), f"  {number:,}" + (f", the first {listed:,} are listed" if listed < number else ""))


def _event(page: Page, event: Event, sign: tuple[str, str]) -> None:
    known = (event.time, event.name, event.source, event.region, event.actor, event.address, event.problem)
    page.wrapped("  ".join(part for part in known if part) or "an event that says nothing", lead=sign, indent=2)
    page.wrapped(event.event_id or "(no event id)", style="dim", indent=4)


def _changes(page: Page, changed: Changed) -> None:
    for change in changed.changes:
        page.wrapped(change.path or "(the whole event)", style="bold", indent=4)
        page.wrapped("(absent)" if change.before is None else change.before, lead=("- ", "red"), indent=6)
        page.wrapped("(absent)" if change.after is None else change.after, lead=("+ ", "green"), indent=6)
    if changed.total > len(changed.changes):
        page.line(f"and {changed.total - len(changed.changes):,} more", indent=4)
