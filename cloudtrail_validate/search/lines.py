"""Hits for programs: JSON lines, and CSV with the column names of Suzaku's timeline. Pure; whole documents, line by line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report.csv import cell
from cloudtrail_validate.report.references import encodable
from cloudtrail_validate.search.event import Event, value_of
from cloudtrail_validate.search.hits import Hit, Proof
from cloudtrail_validate.search.summary import Principal

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER: Final = msgspec.json.Encoder()
_UNSEEN: Final = re.compile("[^\x00-\x7e]")  # candidates, outside of ASCII, where JSON has nothing but strings
_RESERVED: Final = frozenset({"proof", "matched"})  # members of a line that are this tool's own
_CONTROLS: Final = bytes(range(0x20)) + b"\x7f"

COLUMNS: Final = (
    *("Timestamp", "RuleTitle", "Level", "EventSource", "EventName", "ErrorCode", "UserName", "UserType", "SrcIP"),
    *("AWS-Region", "UserAccountID", "UserARN", "UserAccessKeyID", "UserPrincipalID", "UserAgent", "ErrorMessage"),
    *("EventID", "RuleAuthor", "RuleID", "Uses", "AccountID", "Proof", "ProofRule", "Digest", "Log"),
)
"""The names of https://github.com/Yamato-Security/suzaku, config/aws_profile.yaml, and behind them those of the proof."""


def proof_value(proof: Proof) -> dict[str, str]:
    """Return a proof as JSON has it: `status`, then `digest` where it is proven, else the `rule`; `log` and `bucket`."""
    by = {"digest": encodable(proof.digest)} if proof.proven else {"rule": proof.rule}
    return {"status": proof.status, **by, "log": encodable(proof.log), "bucket": encodable(proof.bucket)}


def matched_value(hit: Hit) -> dict[str, Any]:
    """Return which named questions and Sigma rules a hit answers."""
    out: dict[str, Any] = {}
    if hit.uses:
        out["uses"] = list(hit.uses)
    if hit.sigma:
        out["sigma"] = [msgspec.structs.asdict(match) for match in hit.sigma]
    return out


def json_line(hit: Hit) -> bytes:
    """Return the event as one line of JSON with `proof`, and `matched` where there is something to say.

    Members of the event that have these names become `event.proof` and `event.matched`: no event can vouch for itself.
    """
    own: dict[str, Any] = {"proof": proof_value(hit.proof)}
    matched = matched_value(hit)
    if matched:
        own["matched"] = matched
    line = _ENCODER.encode(own | _members(hit.raw)) + b"\n"
    return line if line.isascii() and b"\x7f" not in line else _UNSEEN.sub(_escaped, line.decode()).encode()


def json_lines(hits: Iterable[Hit]) -> Iterator[bytes]:
    """Yield a line a hit."""
    return map(json_line, hits)


def csv_lines(hits: Iterable[Hit]) -> Iterator[bytes]:
    """Yield a header, then a row for each hit and Sigma rule. Cells are such as a spreadsheet shows and does not run."""
    yield _row(COLUMNS)
    for hit in hits:
        event = hit.event
        matches = hit.sigma or (None,)
        for match in matches:
            rule = (match.title, match.level, match.author, match.id) if match else ("", "", "", "")
            yield _row(_cells(event, hit, rule))


def summary_json(principals: Iterable[Principal]) -> Iterator[bytes]:
    """Yield a line a principal."""
    for principal in principals:
        yield _ENCODER.encode(principal.value()) + b"\n"


def summary_csv(principals: Iterable[Principal]) -> Iterator[bytes]:
    """Yield a header, then a row a principal; lists are joined by ` | `."""
    header: list[str] | None = None
    for principal in principals:
        value = principal.value()
        if header is None:
            header = list(value)
            yield _row(header)
        yield _row(_joined(value[name]) for name in header)


def _escaped(match: re.Match[str]) -> str:
    """A character that a reader cannot see, such as one that turns the direction of writing, as JSON's escape of it."""
    return match[0] if printable(match[0]) == match[0] else json.dumps(match[0])[1:-1]


def _joined(value: Any) -> str:
    if isinstance(value, dict):
        return " | ".join(f"{name} {number}" for name, number in value.items())
    return " | ".join(value) if isinstance(value, list) else str(value)


def _members(raw: bytes) -> dict[str, Any]:
    """An event's members, their values as they were written where that is one line of sound JSON."""
    members: dict[str, Any]
    try:
        raw.decode("utf-8")
        members = _FIELDS.decode(raw) if raw.translate(None, _CONTROLS) == raw else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = {}
    if not members:  # line breaks between members, or what not every reader takes
        value = value_of(raw)
        members = value if isinstance(value, dict) else {"unreadable": printable(raw[:4096].decode("utf-8", "replace"))}
    if _RESERVED.isdisjoint(members):
        return members
    return {f"event.{name}" if name in _RESERVED else name: value for name, value in members.items()}


def _cells(event: Event, hit: Hit, rule: tuple[str, str, str, str]) -> list[str]:
    who, proof = event.who, hit.proof
    title, level, author, rule_id = rule
    values = (
        *(event.time, title, level, event.source, event.name, event.error, who.user_name, who.type, event.address),
        *(event.region, who.account_id, who.arn, who.access_key_id, who.principal_id, event.agent),
        *(event.error_message, event.id, author, rule_id, " ".join(hit.uses), event.account),
        *(proof.status, proof.rule, proof.digest, proof.log),
    )
    return [value or "" for value in values]


def _row(values: Iterable[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue().encode("utf-8", "backslashreplace")
