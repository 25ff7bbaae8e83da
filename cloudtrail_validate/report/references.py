"""What other systems need to know a finding by: a stable id, the URI and ARN of its object, its hours, a severity."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, assert_never
from urllib.parse import quote

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.layout import ACCOUNT, REGION, folder_day, folder_of, log_minute, parse_digest_key
from cloudtrail_validate.core.model import HOUR, Interval, Status, isoformat
from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report

CHANGE: Final = frozenset({Status.ALTERED, Status.MISSING, Status.EXTRA})
OPEN: Final = frozenset({Status.UNVERIFIABLE, Status.UNCOVERED})
_MINUTE: Final = timedelta(minutes=1)
_NOT_PLAIN: Final = re.compile("[^\x00-\x7e]+")


class Severity(StrEnum):
    """How urgent a finding is, in the words that ASFF and OCSF share."""

    INFORMATIONAL = "Informational"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


def severity(status: Status) -> Severity:
    """Rank a status: signed evidence that is contradicted, what came or went beside it, what could not be proven."""
    match status:
        case Status.ALTERED:
            return Severity.CRITICAL
        case Status.MISSING | Status.EXTRA:
            return Severity.HIGH
        case Status.UNVERIFIABLE | Status.UNCOVERED:
            return Severity.MEDIUM
        case Status.NOTICE:
            return Severity.INFORMATIONAL
        case _:
            assert_never(status)


def encodable(text: str) -> str:
    r"""`text` as UTF-8 can hold it: a lone surrogate (a file name that is no UTF-8) becomes `\udc80`."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_json(value: Any) -> str:
    """Encode structs and builtins as one line of JSON in ASCII: no terminal obeys it, and nobody splits it at U+2028.

    Exact, but for lone surrogates, which become `encodable`: strict readers refuse them.
    """
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        text = msgspec.json.encode(_encodable(msgspec.to_builtins(value))).decode()
    return _NOT_PLAIN.sub(lambda match: json.dumps(match[0])[1:-1].replace("\x7f", r"\u007f"), text)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(str(key)): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, (list, tuple)) else value


def identities(findings: Iterable[FindingRecord]) -> list[str]:
    """One id a finding (64 hex digits), unique in a report and the same whenever the same fact is found again.

    An object is known by rule, bucket and key. Hours are known by rule, place and the edge that is not the window's
    own, so that asking again later names the same gap. What still agrees is told apart by its order in the report.
    """
    seen: Counter[str] = Counter()
    out = []
    for finding in findings:
        known = json.dumps(fact_of(finding))
        seen[known] += 1
        out.append(hashlib.sha256(f"{known}#{seen[known]}".encode()).hexdigest())
    return out


def fact_of(finding: FindingRecord) -> list[str | None]:
    """What a finding is known by in another report: see `identities`."""
    if finding.key is not None:
        return [finding.rule, finding.bucket, finding.key]
    match finding.rule:
        case rules.CHAIN_ABSENT:
            edge = None
        case rules.GAP_LATE_START:
            edge = finding.end
        case _:
            edge = finding.start
    return [finding.rule, finding.account, finding.region, finding.trail, isoformat(edge) if edge else None]


def object_uri(finding: FindingRecord, report: Report) -> str | None:
    """`s3://bucket/key`, percent-encoded; under the source for a local copy without bucket; None without a key."""
    if finding.key is None:
        return None
    path = quote(finding.key, errors="backslashreplace")
    if finding.bucket:
        return f"s3://{quote(finding.bucket, safe='', errors='backslashreplace')}/{path}"
    return f"{source_uri(report)}/{path}"


def source_uri(report: Report) -> str:
    """What was validated, as a URI without closing slash."""
    return quote(report.request.source, safe="/:%", errors="backslashreplace").rstrip("/")


def object_arn(finding: FindingRecord) -> str | None:
    """ARN of the object that a finding is about; None for hours, and where the bucket is not known."""
    if finding.key is None or not finding.bucket:
        return None
    return f"arn:{partition_of(finding.region)}:s3:::{printable(finding.bucket)}/{printable(finding.key)}"


def account_of(text: str | None) -> str | None:
    """`text` if it is an account id. It may have been read from a key that somebody planted."""
    return text if text and ACCOUNT.fullmatch(text) else None


def region_of(text: str | None) -> str | None:
    """`text` if it has the shape of a region."""
    return text if text and REGION.fullmatch(text) else None


def hours(finding: FindingRecord) -> Interval | None:
    """When a finding happened: its own hours, else what its key says; None where neither tells."""
    if finding.start is not None:
        return Interval(finding.start, max(finding.end or finding.start, finding.start + _MINUTE))
    if finding.key is None:
        return None
    minute = log_minute(finding.key)
    if minute is not None:
        return Interval(minute, minute + _MINUTE)
    place = folder_of(finding.bucket or "", finding.key)
    name = parse_digest_key(place[0], finding.key) if place else None
    return Interval(name.end - HOUR, name.end) if name else folder_day(finding.key)
