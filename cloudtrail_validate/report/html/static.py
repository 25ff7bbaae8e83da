"""The page that needs no script: verdict, summary, charts, incidents, rules, first findings, keys, limits."""

from __future__ import annotations

from collections import Counter
from typing import Final

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import duration, plural, share, size
from cloudtrail_validate.report import Report, Verdict
from cloudtrail_validate.report.beside import witness_lines
from cloudtrail_validate.report.due import due, due_seconds, due_sentence
from cloudtrail_validate.report.examination import Examination
from cloudtrail_validate.report.html.cards import cards
from cloudtrail_validate.report.html.charts import coverage_chart
from cloudtrail_validate.report.html.parts import badge, facts, minute, table, text
from cloudtrail_validate.report.html.queries import (
    A_SIGN_FILE_IS,
    asked_of_queries,
    figure_of_queries,
    left_of_queries,
    proven_queries,
    queries,
)
from cloudtrail_validate.report.html.roots import beside, keys, limits, relied_on
from cloudtrail_validate.report.html.story import brief, story
from cloudtrail_validate.report.incidents import Incident, group
from cloudtrail_validate.report.references import CHANGE, OPEN
from cloudtrail_validate.report.wording import copied, derivation, key_sources, narrowed, places, sentence, title

OUTCOMES: Final = ("valid", "altered", "missing", "extra", "unverifiable")
_WORDS: Final = {
    Verdict.VALID: ("Valid", "✓"),
    Verdict.CHANGED: ("Evidence of change", "✕"),
    Verdict.UNPROVEN: ("Not proven", "!"),
    Verdict.EMPTY: ("Nothing validated", "○"),
}
_A_DIGEST_IS: Final = (
    "About once an hour CloudTrail delivers a digest: a file, signed with a key that only AWS holds, which lists the log "
    "files of its hour with their SHA-256 hashes and names the digest before it."
)


def headline(report: Report) -> str:
    """The document's title."""
    window = f"{isoformat(report.request.start)[:10]} to {isoformat(report.request.end)[:10]}"
    subject = "results of CloudTrail Lake queries" if report.of_queries else "CloudTrail validation"
    return text(f"{_words(report)[0]}: {subject}, {window}")


def _words(report: Report) -> tuple[str, str]:
    """The verdict for people, and its sign."""
    word, sign = _WORDS[report.verdict]
    if not report.stopped:
        return word, sign
    return (f"{word}, interrupted" if report.verdict is Verdict.CHANGED else "Interrupted"), sign


def body(report: Report, most: int, examination: Examination | None = None) -> str:
    """The page above the data; `most` is how many findings the data hold."""
    incidents = group(report)
    return (
        '<a class="skip" href="#findings">Skip to findings</a>\n'
        f"{_verdict(report)}<main>\n{_summary(report, incidents)}{coverage_chart(report)}{queries(report)}"
        f"{story(incidents, report)}"
        f"{_map()}{_rules(report)}{_findings(report, most)}{beside(examination)}{keys(report)}{relied_on(report)}"
        f"{limits(report)}</main>\n{_footer(report)}"
    )


def _verdict(report: Report) -> str:
    word, sign = _words(report)
    said, kicker = sentence(report), "CloudTrail log file validation"
    if report.of_queries:
        kicker = "Validation of CloudTrail Lake query results"
    if report.verdict is Verdict.CHANGED and not report.stopped:  # the heading says the rest
        found = (_told(report, "Found", CHANGE), _told(report, "Beside it, not proven", OPEN))
        said = ". ".join(part for part in found if part) or said
    return (
        f'<header class="verdict {report.verdict}">\n<p class="kicker">{kicker}</p>\n'
        f'<h1><span class="sign" aria-hidden="true">{sign}</span>{word}</h1>\n'
        f"<p>{text(said)}.</p>\n</header>\n"
    )


def _told(report: Report, lead: str, statuses: frozenset[Status]) -> str:
    numbers = Counter(finding.status for finding in report.findings)
    found = ", ".join(f"{numbers[of]:,} {of}" for of in Status if of in statuses and numbers[of])
    if not found or narrowed(report):
        return ""
    return f"{lead}: {'at least ' if report.findings_truncated else ''}{found}"


def _summary(report: Report, incidents: tuple[Incident, ...]) -> str:
    """What stands on page one: three sentences, what was asked, the numbers, the first incidents."""
    return (
        '<section class="summary" aria-label="Summary">\n'
        f'<div class="sentences"><p>{A_SIGN_FILE_IS if report.of_queries else _A_DIGEST_IS}</p>\n'
        f"<p>{text(_proven(report))}</p>\n<p>{text(_left(report))}</p></div>\n"
        f'{_asked(report)}<div class="numbers">{_figure(report)}{_numbers(report)}</div>\n'
        f"{brief(incidents, report)}</section>\n"
    )


def _proven(report: Report) -> str:
    """What was proven, in one sentence."""
    digests, logs = report.summary.digests.valid, report.summary.logs.valid
    if report.of_queries:
        return proven_queries(digests, logs)
    if not digests and not logs:
        return "Here no digest was proven, and with it no log file."
    return (
        f"Here {plural(digests, 'digest')} and {plural(logs, 'log file')} were proven: each log file is bit for bit the one "
        "whose hash its digest holds, and each digest bears AWS's signature, or the next one vouches for it."
    )


def _left(report: Report) -> str:
    """What was not, in one sentence."""
    match report.verdict:
        case _ if report.of_queries:
            return left_of_queries(report.verdict)
        case Verdict.VALID:
            return "No file is missing from the hours that are covered, none was changed, and none lies there besides."
        case Verdict.CHANGED:
            return (
                "Other files are not what AWS delivered, are gone, or were never delivered: what happened, when and where "
                "is told below."
            )
        case Verdict.UNPROVEN:
            return "No file was found to be changed, but not all of them, or not all hours, could be proven."
        case Verdict.EMPTY:
            hints = "".join(f" {hint[0].upper()}{hint[1:]}." for hint in report.suggestions)
            return f"There is no digest at all for what was asked, so that nothing can be said about it.{hints}"


def _asked(report: Report) -> str:
    request, run = report.request, report.run
    accounts, regions = ({getattr(chain, name) for chain in report.chains} for name in ("account", "region"))
    found = f"{plural(len(accounts), 'account')} and {plural(len(regions), 'region')} found"
    asked = (
        asked_of_queries(report)
        if report.of_queries
        else [
            ("Trail", request.trail_arn or "any found in the source"),
            ("Source", f"{request.source}{copied(request)}"),
            ("From", f"{minute(request.start)} UTC"),
            ("To", f"{minute(request.end)} UTC ({duration((request.end - request.start).total_seconds())})"),
            ("Accounts", ", ".join(request.accounts) or "all"),
            ("Regions", ", ".join(request.regions) or "all"),
            ("Scope", f"{found}{f'; {there}' if (there := places(report.summary)) else ''}"),
        ]
    )
    who = [
        ("Run as", run.caller_arn or "not known"),
        ("Tool", f"{report.tool.name} {report.tool.version}"),
        ("Started", f"{minute(run.started, seconds=True)} UTC"),
        ("Took", duration((run.finished - run.started).total_seconds())),
        ("Keys", key_sources(report) or "none"),
        ("Exit code", str(report.exit_code)),
        *((name or "Witness", value) for name, value in witness_lines(report)),
        *derivation(report),
    ]
    return (
        '<div class="facts">\n'
        f"<div><h2>What was asked</h2>\n<dl>{facts(asked)}</dl></div>\n"
        f"<div><h2>Who ran it</h2>\n<dl>{facts(who)}</dl></div>\n</div>\n"
    )


def _figure(report: Report) -> str:
    if report.of_queries:
        return figure_of_queries(report)
    summary, whole = report.summary, due_seconds(report)
    covered = share(summary.covered_seconds, whole)
    return (
        f'<div><p class="figure"><strong>{covered}</strong> of what is due is covered by proven digests in every account '
        f"and region that should have them ({duration(summary.covered_seconds)} of {duration(whole)})"
        f"{text(due_sentence(due(report)))}.</p>\n"
        f'<p class="muted">{size(summary.log_bytes_hashed)} of log content hashed, '
        f"{plural(len(report.chains), 'digest chain')} followed.</p></div>\n"
    )


def _numbers(report: Report) -> str:
    """Outcomes down, digests and logs across: as narrow as a phone."""
    nouns = ("Sign files", "Results") if report.of_queries else ("Digests", "Logs")
    rows = ""
    for outcome in OUTCOMES:
        cells = ""
        for counts in (report.summary.digests, report.summary.logs):
            number = getattr(counts, outcome)
            cells += f'<td class="{outcome if number else "zero"}">{number:,}</td>'
        rows += f'<tr><th scope="row">{outcome.capitalize()}</th>{cells}</tr>\n'
    return (
        '<table class="outcomes"><caption>Objects by outcome</caption><thead><tr><th scope="col">Outcome</th>'
        f'<th scope="col">{nouns[0]}</th><th scope="col">{nouns[1]}</th></tr></thead>\n<tbody>{rows}</tbody></table>\n'
    )


def _map() -> str:
    """The frame of the map; the script fills it, and shows it then."""
    return (
        '<section id="map" hidden aria-labelledby="map-title">\n'
        '<h2 id="map-title">Every account and region over time</h2>\n'
        '<div class="bar"><label>Find a place <input type="search" id="map-search" placeholder="account or region">'
        '</label><label><input type="checkbox" id="map-byname"> by name</label></div>\n'
        '<div id="grid" role="grid" tabindex="0" aria-label="Accounts and regions over time" '
        'aria-describedby="map-help"></div>\n'
        '<p id="map-say" role="status"></p>\n<button type="button" id="map-more" hidden></button>\n'
        '<p class="legend"><span><i class="c"></i>covered</span><span><i class="p"></i>gap in part'
        '</span><span><i class="g"></i>gap</span><span><i class="n"></i>no digest due yet</span>'
        '<span><i class="c change"></i>altered, missing or extra</span><span><i class="c open"></i>could not be proven'
        '</span><span><i class="c notice"></i>notice</span></p>\n'
        '<p id="map-help" class="muted">Select a cell to see what lies there: click, or arrow keys and Enter. Times '
        "are UTC.</p>\n"
        '<div id="detail" hidden></div>\n</section>\n'
    )


def _rules(report: Report) -> str:
    numbers = Counter((finding.status, finding.rule) for finding in report.findings)
    if not numbers:
        return ""
    rows = [
        (
            badge(status),
            f'<a href="#findings" data-rule="{text(rule)}" data-status="{status}">{text(rule)}</a>',
            text(title(rule)),
            f"{numbers[status, rule]:,}",
        )
        for status, rule in sorted(numbers, key=lambda key: list(Status).index(key[0]))
    ]
    kept = (
        '<p class="muted">The run found more than the report keeps; the counts of digests and logs above are exact, '
        "those of the findings are of what was kept.</p>\n"
    )
    return (
        '<section aria-labelledby="rules-title">\n<h2 id="rules-title">Findings by rule</h2>\n'
        f"{table(('Status', 'Rule', 'Title', 'Findings'), rows, kind='rules')}"
        f"{kept if report.findings_truncated else ''}</section>\n"
    )


def _findings(report: Report, most: int) -> str:
    if not report.findings:
        return '<section id="findings"><h2>Findings</h2>\n<p>None.</p>\n</section>\n'
    numbers = Counter(finding.status for finding in report.findings[:most])
    toggles = "".join(
        f'<button type="button" class="badge {status}" data-toggle="{status}" aria-pressed="false">{status} '
        f"{numbers[status]:,}</button>"
        for status in Status
        if numbers[status]
    )
    left = len(report.findings) - most
    left_out = (
        f'<p class="muted">This page holds the first {most:,} findings, worst first; {left:,} more are in the '
        "report's other formats.</p>\n"
        if left > 0
        else ""
    )
    return (
        '<section id="findings" aria-labelledby="findings-title">\n'
        '<h2 id="findings-title" tabindex="-1">Findings</h2>\n'
        f'<div class="bar" id="filters" hidden><div role="group" aria-label="Show only">{toggles}</div>'
        '<label>Containing <input type="search" id="search" placeholder="key, hash, words"></label></div>\n'
        f'<div id="chips"></div>\n<p id="found" role="status" class="muted"></p>\n<div id="list">{cards(report)}</div>\n'
        f'<button type="button" id="more" hidden></button>\n{left_out}</section>\n'
    )


def _footer(report: Report) -> str:
    return (
        f"<footer>{text(report.tool.name)} {text(report.tool.version)} · {report.schema} · finished "
        f"{minute(report.run.finished, seconds=True)} UTC</footer>\n"
    )
