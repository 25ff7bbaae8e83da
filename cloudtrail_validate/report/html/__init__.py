"""The report as one HTML file for people: the verdict, a map of places over time, the findings with their evidence.

The file asks nothing of anybody: style, script and data are inside, and its own policy lets the browser load nothing
else and run nothing but that one script (by its hash). What a bucket wrote is made `printable`, then escaped: with
entities in the page, with JSON escapes in the data. The script builds the page from text nodes only, never from markup.
What decides is in the page without the script: verdict, summary, charts, incidents, the first findings, keys.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import FindingRecord, Report
from cloudtrail_validate.report.examination import Examination
from cloudtrail_validate.report.html.heat import heat
from cloudtrail_validate.report.html.parts import asset, head
from cloudtrail_validate.report.html.static import body, headline
from cloudtrail_validate.report.references import hours
from cloudtrail_validate.report.wording import explanations

MOST_FINDINGS: Final = 20_000  # in the document, worst first: about 15 MB; the other formats hold them all
_STATUSES: Final = tuple(Status)


def render(report: Report, examination: Examination | None = None) -> str:
    """One self-contained HTML document; `examination` is what doctor found, to be shown beside it."""
    script = asset("findings.js") + asset("heat.js")
    return (
        f"{head(headline(report), '', script)}"
        f"<body>\n{body(report, MOST_FINDINGS, examination)}"
        f'<script type="application/json" id="data">{embedded(_data(report))}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def embedded(value: Any) -> str:
    r"""JSON that no HTML parser takes for markup: ASCII only, `<`, `>` and `&` as `\u003c` and so on."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _data(report: Report) -> dict[str, Any]:
    """What the script shows. Times are seconds since 1970, UTC."""
    drawn, spots = heat(report)
    shown = report.findings[:MOST_FINDINGS]
    used = list(dict.fromkeys(finding.rule for finding in shown))
    places = {rule: place for place, rule in enumerate(used)}
    return {
        "statuses": [str(status) for status in _STATUSES],
        "rules": [_rule(rule) for rule in used],
        "findings": [
            _finding(finding, places[finding.rule], spot) for finding, spot in zip(shown, spots, strict=False)
        ],
        "heat": drawn,
    }


def _rule(rule_id: str) -> dict[str, Any]:
    rule = RULES.get(rule_id)
    if rule is None:
        unknown = "This version does not know the rule; see the one that wrote the report."
        return {"id": printable(rule_id), "title": printable(rule_id), "means": unknown, "not": "", "steps": []}
    return {
        "id": rule.id,
        "title": rule.title,
        "means": rule.means,
        "not": rule.does_not_mean,
        "steps": list(rule.next_steps),
    }


def _finding(finding: FindingRecord, rule: int, spot: tuple[int, int, int]) -> list[Any]:
    """One finding, by position: `findings.js` names them."""
    where = f"s3://{finding.bucket}/{finding.key}" if finding.bucket and finding.key is not None else finding.key
    texts = (finding.account, finding.region, finding.trail, where, finding.cause, finding.expected, finding.actual)
    times = hours(finding) or (None, None)
    return [
        rule,
        _STATUSES.index(finding.status),
        *(None if text is None else printable(text) for text in texts),
        printable(finding.message),
        *(int(time.timestamp()) if time else None for time in times),
        *spot,
        explanations(finding),
    ]
