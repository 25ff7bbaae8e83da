"""The words of an alert: a subject that tells changed from unproven, a short text, attributes to filter by.

Everything here goes to mails, phones and chats, which obey markup, mentions and links. So what came from a bucket is
percent-encoded before it is named, and no sentence of a finding is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.notify.event import Brief, Event, OpenFinding
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.report.references import CHANGE, OPEN
from cloudtrail_validate.report.wording import title

MAX_SUBJECT: Final = 99  # characters: SNS wants fewer than 100, without control characters and in ASCII
LISTED: Final = 20  # findings that a message names; the report has all of them
_PLACE: Final = 48  # characters of a subject that say which trail
_PROBLEM: Final = 600  # characters of why nothing was validated
_NAME: Final = 400  # characters of an object's name: a key of CloudTrail's has about 150

EXAMINED: Final = frozenset({"bad", "weak", "unknown"})
"""What the doctor's findings say in `cause`: their own statuses, which are no validation's."""

_HEADLINES: Final = {
    Verdict.VALID: "VALID: everything is proven",
    Verdict.CHANGED: "CHANGED: evidence of change",
    Verdict.UNPROVEN: "UNPROVEN: no evidence of change, not everything could be proven",
    Verdict.EMPTY: "EMPTY: no digest at all was found",
}
_SUBJECTS: Final = {
    Verdict.VALID: "VALID",
    Verdict.CHANGED: "CHANGED",
    Verdict.UNPROVEN: "UNPROVEN",
    Verdict.EMPTY: "EMPTY",
}


def subject(event: Event) -> str:
    """One line of at most `MAX_SUBJECT` printable ASCII characters: the verdict, the numbers behind it, the trail."""
    word = _SUBJECTS[event.verdict] if event.examined is None else "SET-UP"
    place = place_of(event.place)
    place = place if len(place) <= _PLACE else f"{place[: _PLACE - 3]}..."
    line = f"ctvalidate {word}: {_reason(event)} - {place}"
    return line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 3]}..."


def body(event: Event, room: int | None = None) -> str:
    """The message in plain text, ASCII: verdict, place, window, then at most `LISTED` findings, healed ones last.

    `room` is how many characters there are for it; lines that have no room are left out, and the last one says so.
    """
    headline = "UNPROVEN: nothing could be validated" if event.problem else _HEADLINES[event.verdict]
    if event.examined is not None:
        headline = f"SET-UP: {event.examined}"
    lines = [
        f"{headline} (exit code {event.exit_code})",
        f"Trail   {plain(event.trail) if event.trail else 'not named'}",
        f"Source  {place_of(event.source)}",
        f"Window  {isoformat(event.start)} to {isoformat(event.end)}",
        f"Run     {isoformat(event.finished)}, ctvalidate {event.tool_version}",
    ]
    if event.problem:
        lines += ["", "Problem, percent-encoded: " + plain(event.problem).replace("%20", " ")[:_PROBLEM]]
    lines += _section("New" if event.remembers else "Found", event.opened, LISTED)
    left = max(0, LISTED - len(event.opened))
    lines += _section("Found again", event.again, left)
    lines += _section("Healed", event.healed, LISTED)
    if event.carried:
        lines += ["", f"Not asked about or not provable in this run, still open: {len(event.carried):,}"]
    if event.found:
        lines += ["", f"What it means: ctvalidate explain {plain(event.found[0].finding.rule)}"]
    text = "\n".join(lines) + "\n"
    if room is None or len(text) <= room:
        return text
    more = "... more in the report\n"
    return text[: text.rfind("\n", 0, room - len(more)) + 1] + more


def attributes(event: Event) -> dict[str, str]:
    """What subscribers filter by, 8 pairs, none of them empty."""
    return {
        "verdict": str(event.verdict),
        "exit_code": str(event.exit_code),
        "severity": event.severity.upper(),
        "trail": place_of(event.place)[:256] or "unknown",
        "account": event.account or "unknown",
        "opened": str(len(event.opened)),
        "open": str(len(event.found) + len(event.carried)),
        "healed": str(len(event.healed)),
    }


def plain(text: str) -> str:
    """`text` with everything percent-encoded that a mail, a chat or a phone might take for more than letters.

    `https://` as well: whoever names a file shall not put a link into an alert.
    """
    return quote(text, safe="/:", errors="backslashreplace").replace("://", "%3A//")


def place_of(source: str) -> str:
    """Where was read, `s3://bucket/prefix` or `file:///…`."""
    scheme, slashes, rest = source.partition("://")
    return f"{scheme}://{plain(rest)}" if slashes and scheme in ("s3", "file") else plain(source)


def name_of(finding: Brief) -> str:
    """What a finding is about: `s3://bucket/key`, or the place of its hours."""
    if finding.key is not None:
        name = f"s3://{plain(finding.bucket)}/{plain(finding.key)}" if finding.bucket else plain(finding.key)
        return name if len(name) <= _NAME else f"{name[: _NAME // 2]}...{name[-_NAME // 2 :]}"
    where = "/".join(plain(part) for part in (finding.account, finding.region, finding.trail) if part)
    when = f" {isoformat(finding.start)} to {isoformat(finding.end)}" if finding.start and finding.end else ""
    return f"{where or 'the trail'}{when}"


def _reason(event: Event) -> str:
    if event.problem:
        return "nothing could be validated"
    if event.examined is not None:
        return event.examined
    counted = {Verdict.CHANGED: CHANGE, Verdict.UNPROVEN: OPEN}.get(event.verdict, frozenset[Status]())
    told = [f"{event.counts[of]:,} {of}" for of in Status if of in counted and event.counts.get(of)]
    if told:
        return ("" if event.counts_are_exact else "at least ") + ", ".join(told)
    if event.healed:
        return f"{len(event.healed):,} healed"
    return "no digest" if event.verdict is Verdict.EMPTY else "all proven"


def _section(name: str, items: Sequence[OpenFinding], room: int) -> Iterable[str]:
    if not items:
        return []
    lines = ["", f"{name}: {plural(len(items), 'finding')}"]
    lines += [f"- {_line(item)}" for item in items[:room]]
    left = len(items) - room
    return [*lines, f"  and {left:,} more in the report"] if left > 0 else lines


def _line(item: OpenFinding) -> str:
    finding = item.finding
    since = f" (first seen {isoformat(item.first_seen)})" if item.times > 1 else ""
    if finding.cause in EXAMINED:
        return f"{finding.rule} [{finding.cause}] wanted: {plain(finding.expected or '').replace('%20', ' ')}{since}"
    return f"{finding.rule} [{finding.status}] {title(finding.rule)}: {name_of(finding)}{since}"
