"""What the proofs stand on: public keys and where they came from, what else was relied on, what doctor says beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.report import PublicKeyRecord, Report, wording
from cloudtrail_validate.report.examination import MOST_RESULTS, Examination, Result
from cloudtrail_validate.report.html.parts import minute, table, text

_OPEN: Final = 10  # keys that are not folded away
_KEY_SOURCES: Final = {"aws": "AWS, ListPublicKeys", "file": "a key file"}
_HEALTH: Final = {
    "bad": ("altered", "bad"),
    "weak": ("unverifiable", "weak"),
    "unknown": ("notice", "not known"),
    "ok": ("ok", "good"),
}


def keys(report: Report) -> str:
    """The keys that proved a signature, with validity and source."""
    if not report.public_keys:
        return ""
    rows = [(_name(key), text(key.region), _validity(key), _source(key)) for key in report.public_keys]
    heads = ("Fingerprint and SHA-256 of the DER key", "Region", "Valid, UTC", "From")
    return (
        '<section aria-labelledby="keys-title">\n<h2 id="keys-title">Public keys that proved a signature</h2>\n'
        f"<details{' open' if len(rows) <= _OPEN else ''}><summary>{plural(len(rows), 'key')}</summary>\n"
        f"{table(heads, rows, kind='keys')}</details>\n</section>\n"
    )


def _name(key: PublicKeyRecord) -> str:
    sha256 = f"<br><code>{text(key.sha256)}</code>" if isinstance(key.sha256, str) else ""
    return f"<code>{text(key.fingerprint)}</code> (MD5){sha256}"


def _validity(key: PublicKeyRecord) -> str:
    if not (isinstance(key.not_before, datetime) and isinstance(key.not_after, datetime)):
        return "not recorded"
    return f"{isoformat(key.not_before)[:10]} to {isoformat(key.not_after)[:10]}"


def _source(key: PublicKeyRecord) -> str:
    told = _KEY_SOURCES.get(key.source, key.source)
    if isinstance(key.asked_at, datetime):
        told += f", asked {minute(key.asked_at, seconds=True)} UTC"
    if isinstance(key.file, str):
        told += f", {key.file}"
    if isinstance(key.file_sha256, str):
        told += f" (SHA-256 {key.file_sha256})"
    return text(told)


def relied_on(report: Report) -> str:
    """What had to be believed."""
    if not isinstance(report.relied_on, tuple) or not report.relied_on:
        return ""
    lines = "".join(f"<li>{text(line)}.</li>\n" for line in report.relied_on)
    heading = '<h2 id="relied-title">What this rests on</h2>'
    return f'<section aria-labelledby="relied-title">\n{heading}\n<ul>{lines}</ul></section>\n'


def beside(found: Examination | None) -> str:
    """What doctor found: whether tampering would be noticed at all, and could be undone."""
    if found is None:
        return ""
    about = found.trail_arn or found.bucket or "the trail"
    rows = [_result(one) for one in found.results[:MOST_RESULTS] if one.status != "ok"]
    good = sum(one.status == "ok" for one in found.results)
    problems = table(("Answer", "Check", "Seen"), rows, kind="doctor") if rows else ""
    return (
        '<section aria-labelledby="doctor-title">\n'
        '<h2 id="doctor-title">Would tampering be noticed, and could it be undone?</h2>\n'
        f"<p>{text(f'ctvalidate doctor asked {about} on {minute(found.run.finished)} UTC')}: "
        f"{good:,} of {plural(len(found.results), 'check')} found nothing wanting.</p>\n{problems}</section>\n"
    )


def _result(one: Result) -> Sequence[str]:
    style, word = _HEALTH[one.status]
    mend = "".join(f"<pre><code>{text(line)}</code></pre>" for line in one.remedy)
    why = f'<p class="muted">{text(one.why)}</p>' if one.why else ""
    return (
        f'<span class="badge {style}">{word}</span>',
        f"<code>{text(one.check)}</code><br>{text(one.title)}",
        f"{text(one.evidence)}{why}{mend}",
    )


def limits(report: Report) -> str:
    """What a pass does not mean."""
    return (
        '<section class="limits" aria-labelledby="limits-title">\n'
        f'<h2 id="limits-title">What a pass means, and what it does not</h2>\n<p>{wording.limits(report)}</p>\n'
        "</section>\n"
    )
