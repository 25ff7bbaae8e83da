"""The examination as one HTML file for people, in the style of a validation's report. It has no script and loads nothing."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.doctor.model import Axis, Health
from cloudtrail_validate.doctor.render.sentences import LIMITS, QUESTIONS, counts, verdict
from cloudtrail_validate.doctor.report import DoctorReport, Result
from cloudtrail_validate.report.html.parts import facts, head, table, text

_WORDS: Final = {
    Health.OK: ("Well", "✓", "valid"),
    Health.WEAK: ("Weak", "!", "unproven"),
    Health.BAD: ("Bad", "✕", "changed"),
    Health.UNKNOWN: ("Not known", "?", "unproven"),
}
"""Headline, sign and the style of a validation's verdict that fits."""
_BADGES: Final = {Health.BAD: "altered", Health.WEAK: "uncovered", Health.UNKNOWN: "unverifiable", Health.OK: "ok"}
_STYLE: Final = """
.doctor td { vertical-align: top; }
.doctor td:nth-child(-n+2) { white-space: nowrap; }
.doctor td:last-child { width: 75%; }
.doctor td p { margin: 0.125rem 0; }
.doctor pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.25rem 0; font-size: 0.8125rem; }
.doctor summary { cursor: pointer; color: var(--soft); }
@media (max-width: 45rem) { .doctor tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); } }
"""


def render(report: DoctorReport) -> str:
    """Return one self-contained HTML document."""
    word, sign, kind = _WORDS[report.verdict]
    return (
        f"{head(f'{word}: CloudTrail set-up, {text(isoformat(report.run.started)[:10])}', _STYLE)}<body>\n"
        f'<header class="verdict {kind}">\n<p class="kicker">CloudTrail set-up</p>\n'
        f'<h1><span class="sign" aria-hidden="true">{sign}</span>{word}</h1>\n<p>{text(verdict(report))}.</p>\n</header>\n'
        f"<main>\n{_asked(report)}{''.join(_question(report, axis) for axis in Axis)}{_skipped(report)}"
        '<section class="limits" aria-labelledby="limits-title">\n<h2 id="limits-title">What this does not say</h2>\n'
        f"<p>{text(LIMITS)}</p>\n</section>\n</main>\n"
        f"<footer>{text(report.tool.name)} {text(report.tool.version)} · {report.schema} · finished "
        f"{text(isoformat(report.run.finished))}</footer>\n</body>\n</html>\n"
    )


def _asked(report: DoctorReport) -> str:
    rows = (
        ("Trail", report.trail_arn or "none"),
        ("Bucket", report.bucket or "none"),
        ("Checks", counts(report)),
        ("Run as", report.run.caller_arn or "not known"),
        ("Started", isoformat(report.run.started)),
        ("Exit code", str(report.exit_code)),
    )
    return f'<section class="facts" aria-label="What was examined">\n<div><dl>{facts(rows)}</dl></div>\n</section>\n'


def _question(report: DoctorReport, axis: Axis) -> str:
    results = [result for result in report.results if result.axes[0] is axis]
    if not results:
        return ""
    rows = [_row(result) for status in Health for result in results if result.status is status]
    return (
        f'<section aria-labelledby="{axis}">\n<h2 id="{axis}">{QUESTIONS[axis]}</h2>\n'
        f"{table(('Status', 'Check', 'Found'), rows, kind='doctor')}</section>\n"
    )


def _row(result: Result) -> tuple[str, str, str]:
    remedy = f"<pre>{text_lines(result.remedy)}</pre>" if result.remedy else ""
    also = f'<p class="muted">Also asked for by {text(", ".join(result.also))}</p>' if result.also else ""
    about = "Why, and what mends it" if remedy else "Why"
    more = f"<details><summary>{about}</summary><p>{text(result.why)}</p>{remedy}{also}</details>"
    return (
        f'<span class="badge {_BADGES[result.status]}">{result.status}</span>',
        f'<code id="check-{text(result.check)}">{text(result.check)}</code>',
        f'{text(result.evidence)}<p class="muted">Wanted: {text(result.title)}</p>{more}',
    )


def text_lines(lines: tuple[str, ...]) -> str:
    """Lines of commands, escaped one by one."""
    return "\n".join(text(line) for line in lines)


def _skipped(report: DoctorReport) -> str:
    if not report.skipped:
        return ""
    items = "".join(f"<li><code>{text(each.check)}</code>: {text(each.reason)}</li>\n" for each in report.skipped)
    return f'<section aria-labelledby="skipped">\n<h2 id="skipped">Left out</h2>\n<ul>{items}</ul>\n</section>\n'
