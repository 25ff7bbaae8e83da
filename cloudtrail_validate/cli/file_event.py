"""`ctvalidate file --event-id`: find the log that holds an event, prove it, and print the event with its chain of proof."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from cloudtrail_validate.cli import Interrupted, validate
from cloudtrail_validate.cli.file import answer_of
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.evidence.file_search import FileProof
    from cloudtrail_validate.search.hits import Hit
    from cloudtrail_validate.search.search import Searcher

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")  # CloudTrail's are UUIDs; other sources write their own
_LATE: Final = timedelta(hours=2)  # after its day an event of the last minute was delivered and is named by a digest
_VERDICTS: Final = {
    ExitCode.VALID: ("This event was delivered by AWS CloudTrail, unchanged", "valid"),
    ExitCode.CHANGED: ("This event lies in a log that is not what CloudTrail delivered", "changed"),
    ExitCode.UNPROVEN: ("Nobody can vouch for the log of this event", "unproven"),
    ExitCode.EMPTY: ("No digest was found that could vouch for this event", "unproven"),
}


class _Hits(list["Hit"]):
    """Hits as they come: an event has few."""

    def add(self, hit: Hit, _: object) -> None:
        """Take one."""
        self.append(hit)


def prove(event_id: str, day: str | None, format_: str, others: dict[str, Any], options: dict[str, Any]) -> int:
    """Find and prove an event; returns the exit code. `others` are arguments that do not go with an event."""
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError
    from cloudtrail_validate.search.one_event import best, prove_event
    from cloudtrail_validate.search.query import Query
    from cloudtrail_validate.search.search import Searcher

    now, hits = now_utc(), _Hits()
    try:
        begin = _begin(event_id, day, others)
        request = Request(start=begin, end=min(begin + timedelta(days=1) + _LATE, now), **options)
        request.check(now)
        searcher = Searcher(Query(event_ids=(event_id,)), hits)
        result = validate.execute(request, now, companion=searcher)
        searcher.finish()
        if result.interrupted and not hits:
            return Interrupted(result.report.exit_code)
        if not hits:
            return _not_found(event_id, searcher, result.report.exit_code)
        hit = best(hits)
        plain = replace(request, accounts=(), regions=())
        if request.source is not None or request.copy_of is None:  # of a copy in a bucket it says where that lies
            plain = replace(plain, prefix=None)
        if request.source is None and request.copy_of is None:
            plain = replace(plain, bucket=hit.proof.bucket)
        proof, raw = prove_event(plain, event_id, hit, now)
    except (RequestError, ConfigurationError) as error:
        raise click.UsageError(printable(str(error))) from error
    except AccessError as error:
        click.echo(f"ctvalidate: {printable(str(error))}", err=True)
        return int(ExitCode.UNPROVEN)
    if not raw:
        click.echo(f"ctvalidate: {printable(hit.proof.log)} has changed since it was searched: run again", err=True)
        return int(ExitCode.UNPROVEN)
    _print(event_id, proof, raw, format_)
    for other in hits:
        if other.proof.log != hit.proof.log:
            click.echo(f"ctvalidate: also in {printable(other.proof.log)}, {other.proof.status}", err=True)
    return int(proof.exit_code)


def _begin(event_id: str, day: str | None, others: dict[str, Any]) -> datetime:
    for name, value in others.items():
        if value is not None:
            raise RequestError(f"--event-id: its log is looked for, expected it without {name}")
    if _ID.fullmatch(event_id) is None:
        raise RequestError(f"--event-id: expected the eventID of an event, got {event_id!r}")
    if day is None or _DAY.fullmatch(day) is None:
        raise RequestError("--event-id: expected --day YYYY-MM-DD with it, the event's day in UTC")
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError:
        raise RequestError(f"--day: there is no day {day}") from None


def _not_found(event_id: str, searcher: Searcher, code: int) -> int:
    """No log of the day holds it: then what the validation found says whether one may be missing."""
    searched = f"{searcher.logs:,} logs of that day, and none holds event {event_id}"
    said = "; see the findings of `ctvalidate` for that day: one that held it may be lost" if code else ""
    click.echo(f"ctvalidate: searched {searched}{said}", err=True)
    for key, reason in searcher.unsearched.items():
        click.echo(f"ctvalidate: not searched: {printable(key)}: {printable(reason)}", err=True)
    return code or int(ExitCode.EMPTY)


def _print(event_id: str, proof: FileProof, raw: bytes, format_: str) -> None:
    from cloudtrail_validate.search.event import mend
    from cloudtrail_validate.search.event_page import page

    sound = _sound(raw) or mend(raw) or b"null"
    answer = msgspec.structs.replace(answer_of(proof), event=msgspec.Raw(sound))
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return
    pretty = msgspec.json.format(sound, indent=2).decode()
    if format_ == "html":
        verdict, kind = _VERDICTS[proof.exit_code]
        click.echo(page(event_id, raw, pretty, answer.steps, verdict, kind), nl=False)
        return
    for line in pretty.splitlines():
        click.echo(printable(line))
    click.echo("")
    for step in answer.steps:
        click.echo(printable(step))
    for problem in answer.problems:
        click.echo(f"found on the way: {printable(problem)}")


def _sound(raw: bytes) -> bytes | None:
    """The event as it was written, where every reader takes it."""
    try:
        raw.decode("utf-8")
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
    return raw
