"""The first findings as they are without the page's script, which replaces them by a list to search and filter."""

from __future__ import annotations

from collections import Counter
from typing import Final

from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import duration, plural, printable
from cloudtrail_validate.report import FindingRecord, Report
from cloudtrail_validate.report.html.parts import badge, text
from cloudtrail_validate.report.references import hours
from cloudtrail_validate.report.wording import explanations, span

FIRST: Final = 200  # findings in the page itself


def cards(report: Report) -> str:
    """The first findings, worst first, under a heading for each rule."""
    numbers = Counter((finding.status, finding.rule) for finding in report.findings)
    out, before = "", None
    for finding in report.findings[:FIRST]:
        group = (finding.status, finding.rule)
        if group != before:
            out += _heading(finding, numbers[group])
            before = group
        out += _card(finding)
    left = len(report.findings) - FIRST
    if left > 0:
        out += f'<p class="muted">The first {FIRST} findings are shown; {left:,} more need this page\'s script.</p>\n'
    return out


def when_of(finding: FindingRecord) -> str:
    """The hours of a finding, with their length; every finding says something about them."""
    when = hours(finding)
    if when is None:
        return "hours not known"
    return f"{span(when)} UTC ({duration(when.seconds)})"


def _heading(finding: FindingRecord, number: int) -> str:
    rule = RULES.get(finding.rule)
    title = rule.title if rule else printable(finding.rule)
    means = f"<p>{text(rule.means)}</p>" if rule else ""
    return (
        f'<div class="rule"><h3>{badge(finding.status)} {text(title)} <small><code>{text(finding.rule)}</code> · '
        f"{plural(number, 'finding')}</small></h3>{means}</div>\n"
    )


def _card(finding: FindingRecord) -> str:
    where = f"s3://{finding.bucket}/{finding.key}" if finding.bucket and finding.key is not None else finding.key
    shown = f'<p class="key">{text(where)}</p>' if where is not None else ""
    places = [part for part in (finding.account, finding.region, finding.trail) if part] + [when_of(finding)]
    evidence = "".join(
        f"<dt>{name}</dt><dd>{text(value) or '(empty)'}</dd>"
        for name, value in (("expected", finding.expected), ("found", finding.actual))
        if value is not None
    )
    told = "".join(f"<li>{text(line)}</li>" for line in explanations(finding))
    values = f'<dl class="evidence">{evidence}</dl>' if evidence else ""
    besides = f'<div class="explained">Found out besides:<ul>{told}</ul></div>' if told else ""
    spans = "".join(f"<span>{text(part)}</span>" for part in places)
    return (
        f'<article class="finding {finding.status}">{shown}<p class="message">{text(finding.message)}</p>'
        f'<p class="place">{spans}</p>{values}{besides}</article>\n'
    )
