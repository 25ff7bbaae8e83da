"""The part of the page that needs no script: verdict, request, numbers, rules, keys, and what a pass does not mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Final

from cloudtrail_validate.core.model import Status, isoformat
from cloudtrail_validate.core.text import duration, plural, printable, share, size
from cloudtrail_validate.report import CountsRecord, Report, Verdict
from cloudtrail_validate.report.references import CHANGE, LIMITS, OPEN, places, sentence, title

OUTCOMES: Final = ("valid", "altered", "missing", "extra", "unverifiable")
_WORDS: Final = {
    Verdict.VALID: ("Valid", "✓"),
    Verdict.CHANGED: ("Evidence of change", "✕"),
    Verdict.UNPROVEN: ("Not proven", "!"),
    Verdict.EMPTY: ("Nothing validated", "○"),
}
_KEY_SOURCES: Final = {"aws": "AWS, ListPublicKeys", "file": "a key file"}


def text(value: str) -> str:
    """A hostile string as text of the page or an attribute."""
    return escape(printable(value), quote=True)


def headline(report: Report) -> str:
    """The document's title."""
    window = f"{isoformat(report.request.start)[:10]} to {isoformat(report.request.end)[:10]}"
    return text(f"{_words(report)[0]}: CloudTrail validation, {window}")


def _words(report: Report) -> tuple[str, str]:
    """The verdict for people, and its sign."""
    word, sign = _WORDS[report.verdict]
    if not report.stopped:
        return word, sign
    return (f"{word}, interrupted" if report.verdict is Verdict.CHANGED else "Interrupted"), sign


def body(report: Report, most: int) -> str:
    """The page above the data; `most` is how many findings the data hold."""
    return (
        '<a class="skip" href="#findings">Skip to findings</a>\n'
        f"{_verdict(report)}<main>\n{_asked(report)}{_numbers(report)}{_map()}{_rules(report)}"
        f"{_findings(report, most)}{_keys(report)}{_limits()}</main>\n{_footer(report)}"
    )


def _verdict(report: Report) -> str:
    word, sign = _words(report)
    said = sentence(report)
    if report.verdict is Verdict.CHANGED and not report.stopped:  # the heading says the rest
        said = ". ".join(part for part in (_told(report, CHANGE), _told(report, OPEN)) if part) or said
    return (
        f'<header class="verdict {report.verdict}">\n<p class="kicker">CloudTrail log file validation</p>\n'
        f'<h1><span class="sign" aria-hidden="true">{sign}</span>{word}</h1>\n'
        f"<p>{text(said)}.</p>\n</header>\n"
    )


def _told(report: Report, statuses: frozenset[Status]) -> str:
    numbers = Counter(finding.status for finding in report.findings)
    found = ", ".join(f"{numbers[of]:,} {of}" for of in Status if of in statuses and numbers[of])
    lead = "Found" if statuses is CHANGE else "Beside it, not proven"
    return f"{lead}: {'at least ' if report.findings_truncated else ''}{found}" if found else ""


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>\n" for name, value in rows if value)


def _asked(report: Report) -> str:
    request, run = report.request, report.run
    accounts, regions = ({getattr(chain, name) for chain in report.chains} for name in ("account", "region"))
    found = f"{plural(len(accounts), 'account')} and {plural(len(regions), 'region')} found"
    asked = [
        ("Trail", request.trail_arn or "any found in the source"),
        ("Source", request.source),
        ("From", f"{_minute(isoformat(request.start))} UTC"),
        ("To", f"{_minute(isoformat(request.end))} UTC ({duration((request.end - request.start).total_seconds())})"),
        ("Accounts", ", ".join(request.accounts) or "all"),
        ("Regions", ", ".join(request.regions) or "all"),
        ("Scope", found),
    ]
    sources = sorted({key.source for key in report.public_keys})
    who = [
        ("Run as", run.caller_arn or "not known"),
        ("Tool", f"{report.tool.name} {report.tool.version}"),
        ("Started", f"{_minute(isoformat(run.started), seconds=True)} UTC"),
        ("Took", duration((run.finished - run.started).total_seconds())),
        ("Keys", f"{plural(len(report.public_keys), 'public key')} from {_sources(sources)}" if sources else "none"),
        ("Exit code", str(report.exit_code)),
    ]
    return (
        '<section class="facts" aria-label="Request and run">\n'
        f"<div><h2>What was asked</h2>\n<dl>{_list(asked)}</dl></div>\n"
        f"<div><h2>Who ran it</h2>\n<dl>{_list(who)}</dl></div>\n</section>\n"
    )


def _sources(sources: Iterable[str]) -> str:
    return " and ".join(_KEY_SOURCES.get(source, source) for source in sources)


def _minute(stamp: str, *, seconds: bool = False) -> str:
    return stamp.replace("T", " ")[: 19 if seconds else 16]


def _numbers(report: Report) -> str:
    summary = report.summary
    covered = share(summary.covered_seconds, summary.window_seconds or 1)
    counted = f" {there}." if (there := places(summary)) else ""
    rows = "".join(_counts(name, counts) for name, counts in (("Digests", summary.digests), ("Logs", summary.logs)))
    head = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in OUTCOMES)
    return (
        '<section class="numbers" aria-label="Numbers">\n'
        f'<p class="figure"><strong>{covered}</strong> of the window is covered by proven digests in every account and '
        f"region that should have them ({duration(summary.covered_seconds)} of {duration(summary.window_seconds)})."
        f"{counted}</p>\n"
        f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n'
        f'<p class="muted">{size(summary.log_bytes_hashed)} of log content hashed, '
        f"{plural(len(report.chains), 'digest chain')} followed.</p>\n</section>\n"
    )


def _counts(name: str, counts: CountsRecord) -> str:
    cells = ""
    for outcome in OUTCOMES:
        number = getattr(counts, outcome)
        style = "zero" if not number else outcome
        cells += f'<td class="{style}">{number:,}</td>'
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def _map() -> str:
    """The frame of the map; the script fills it, and shows it then."""
    return (
        '<section id="map" hidden aria-labelledby="map-title">\n'
        '<h2 id="map-title">Coverage and findings over time</h2>\n'
        '<div class="bar"><label>Find a place <input type="search" id="map-search" placeholder="account or region">'
        '</label><label><input type="checkbox" id="map-byname"> by name</label></div>\n'
        '<div id="grid" role="grid" tabindex="0" aria-describedby="map-help"></div>\n'
        '<p id="map-say" role="status"></p>\n<button type="button" id="map-more" hidden></button>\n'
        '<p class="legend" aria-label="Legend"><span><i class="c"></i>covered</span><span><i class="p"></i>gap in part'
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
    rows = ""
    for status, rule in sorted(numbers, key=lambda key: list(Status).index(key[0])):
        rows += (
            f'<tr><td><span class="badge {status}">{status}</span></td>'
            f'<td><a href="#findings" data-rule="{text(rule)}" data-status="{status}">{text(rule)}</a></td>'
            f'<td>{text(title(rule))}</td><td class="number">{numbers[status, rule]:,}</td></tr>\n'
        )
    kept = (
        '<p class="muted">The run found more than the report keeps; the counts of digests and logs above are exact, '
        "those of the findings are of what was kept.</p>\n"
    )
    return (
        '<section aria-labelledby="rules-title">\n<h2 id="rules-title">Findings by rule</h2>\n'
        '<div class="scroll"><table class="rules"><thead><tr><th scope="col">Status</th><th scope="col">Rule</th>'
        '<th scope="col">Title</th><th scope="col" class="number">Findings</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>\n{kept if report.findings_truncated else ''}</section>\n"
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
        '<div id="chips"></div>\n<p id="found" role="status" class="muted"></p>\n<div id="list"></div>\n'
        f'<button type="button" id="more" hidden></button>\n{left_out}'
        "<noscript><p>The single findings are shown by this page's own script, which is off here. They are in the "
        "report's JSON and CSV formats as well.</p></noscript>\n</section>\n"
    )


def _keys(report: Report) -> str:
    if not report.public_keys:
        return ""
    rows = "".join(
        f"<tr><td><code>{text(key.fingerprint)}</code></td><td>{text(key.region)}</td>"
        f"<td>{text(_KEY_SOURCES.get(key.source, key.source))}</td></tr>\n"
        for key in report.public_keys
    )
    return (
        '<section aria-labelledby="keys-title">\n<h2 id="keys-title">Public keys that proved a signature</h2>\n'
        f"<details{' open' if len(report.public_keys) <= 10 else ''}><summary>"
        f"{plural(len(report.public_keys), 'key')}</summary>\n"
        '<div class="scroll"><table><thead><tr><th scope="col">Fingerprint (MD5 of the DER key)</th>'
        f'<th scope="col">Region</th><th scope="col">From</th></tr></thead><tbody>{rows}</tbody></table></div>\n'
        "</details>\n</section>\n"
    )


def _limits() -> str:
    return (
        '<section class="limits" aria-labelledby="limits-title">\n'
        '<h2 id="limits-title">What a pass means, and what it does not</h2>\n'
        f"<p>{LIMITS}</p>\n</section>\n"
    )


def _footer(report: Report) -> str:
    return (
        f"<footer>{text(report.tool.name)} {text(report.tool.version)} · {report.schema} · finished "
        f"{_minute(isoformat(report.run.finished), seconds=True)} UTC</footer>\n"
    )
