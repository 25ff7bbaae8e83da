"""Hits as findings of other systems: SARIF 2.1.0 and OCSF 1.5, a result for each question or rule that an event answers.

Sigma's rules keep their id, title and author. What a proof is worth goes along: in `properties`, and as the last evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from cloudtrail_validate.core.digest import parse_time
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.ocsf import VERSION, milliseconds
from cloudtrail_validate.report.references import to_json
from cloudtrail_validate.report.sarif import SCHEMA_URI, plain_message
from cloudtrail_validate.report.wording import sentence
from cloudtrail_validate.search.hits import Hit, SigmaMatch
from cloudtrail_validate.search.lines import proof_value
from cloudtrail_validate.search.uses import USES

ASKED: Final = SigmaMatch("search", "Event that was asked for", "informational", "")
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning"}
_SEVERITIES: Final = {"critical": (5, "Critical"), "high": (4, "High"), "medium": (3, "Medium"), "low": (2, "Low")}
_CLASS: Final = 2004
_LONGEST: Final = 1_000  # characters of anything that an event says


def sarif(hits: Iterable[Hit], report: Report) -> Iterator[str]:
    """Yield one SARIF log with one run, piece by piece. `hits` are iterated twice."""
    rules: dict[str, SigmaMatch] = {}
    for hit in hits:
        for answer in _answers(hit):
            rules.setdefault(answer.id, answer)
    driver = {
        "name": report.tool.name,
        "version": report.tool.version,
        "rules": [_descriptor(rule) for rule in rules.values()],
    }
    invocation = {
        "executionSuccessful": not report.stopped,
        "exitCode": report.exit_code,
        "exitCodeDescription": sentence(report),
        "startTimeUtc": isoformat(report.run.started),
        "endTimeUtc": isoformat(report.run.finished),
    }
    yield f'{{"$schema": {to_json(SCHEMA_URI)}, "version": "2.1.0", "runs": [{{"tool": {to_json({"driver": driver})}, '
    yield f'"invocations": [{to_json(invocation)}], "results": ['
    places = {rule: place for place, rule in enumerate(rules)}
    between = ""
    for hit in hits:
        for answer in _answers(hit):
            yield f"{between}{to_json(_result(hit, answer, places[answer.id]))}"
            between = ",\n"
    yield "]}]}\n"


def ocsf(hits: Iterable[Hit], report: Report) -> Iterator[str]:
    """Yield a JSON array of Detection Findings (2004), piece by piece."""
    between = "["
    for hit in hits:
        for answer in _answers(hit):
            yield f"{between}{to_json(_finding(hit, answer, report))}"
            between = ",\n"
    yield "]\n" if between != "[" else "[]\n"


def _answers(hit: Hit) -> tuple[SigmaMatch, ...]:
    """What an event answers; where no question had a name, that it was asked for."""
    uses = tuple(SigmaMatch(name, USES[name].title, "medium", "") for name in hit.uses)
    return (*hit.sigma, *uses) or (ASKED,)


def _descriptor(rule: SigmaMatch) -> dict[str, Any]:
    by = {"author": _cut(rule.author)} if rule.author else {}
    return {
        "id": _cut(rule.id),
        "shortDescription": {"text": _cut(rule.title) or _cut(rule.id)},
        "defaultConfiguration": {"level": _LEVELS.get(rule.level, "note")},
        "properties": {"tags": ["cloudtrail", "event"], "level": _cut(rule.level), **by},
    }


def _result(hit: Hit, rule: SigmaMatch, place: int) -> dict[str, Any]:
    event = hit.event
    names = "/".join(_cut(name) for name in (event.account, event.region) if name) or "event"
    return {
        "ruleId": _cut(rule.id),
        "ruleIndex": place,
        "kind": "fail",
        "level": _LEVELS.get(rule.level, "note"),
        "message": {"text": plain_message(_told(hit))},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _uri(hit)}},
                "logicalLocations": [{"fullyQualifiedName": names, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"ctvalidate.event/v1": f"{_cut(event.id)}/{_cut(rule.id)}"},
        "properties": {"event": _facts(hit), "proof": proof_value(hit.proof)},
    }


def _finding(hit: Hit, rule: SigmaMatch, report: Report) -> dict[str, Any]:
    event, found = hit.event, milliseconds(report.run.finished)
    moment = parse_time(event.time)
    number, word = _SEVERITIES.get(rule.level, (1, "Informational"))
    cloud: dict[str, Any] = {"provider": "AWS"}
    if event.region:
        cloud["region"] = _cut(event.region)
    if event.account:
        account = _cut(event.account)
        cloud["account"] = {"uid": account, "name": account, "type": "AWS Account", "type_id": 10}
    uid = f"{_cut(event.id)}/{_cut(rule.id)}"
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + 1,
        "type_name": "Detection Finding: Create",
        "time": milliseconds(moment) if moment else found,
        "severity_id": number,
        "severity": word,
        "status_id": 1,
        "status": "New",
        "message": _told(hit),
        "metadata": {
            "version": VERSION,
            "uid": uid,
            "event_code": _cut(rule.id),
            "profiles": ["cloud"],
            "product": {"name": report.tool.name, "vendor_name": report.tool.name, "version": report.tool.version},
        },
        "cloud": cloud,
        "finding_info": {
            "uid": uid,
            "title": _cut(rule.title) or _cut(rule.id),
            "created_time": found,
            "analytic": {"type_id": 1, "type": "Rule", "uid": _cut(rule.id), "name": _cut(rule.title)}
            | ({"desc": f"by {_cut(rule.author)}"} if rule.author else {}),
        },
        "resources": [{"type": "AWS::S3::Object", "uid": _uri(hit), "name": printable(hit.proof.log)}],
        "evidences": [{"data": _facts(hit)}, {"data": proof_value(hit.proof)}],
    }


def _told(hit: Hit) -> str:
    event = hit.event
    by, address = event.who.principal or "nobody named", event.address or "nowhere named"
    worth = "proven" if hit.proof.proven else f"unproven, {hit.proof.rule}"
    return printable(
        f"{event.name[:_LONGEST]} by {by[:_LONGEST]} from {address[:_LONGEST]} at {event.time[:40]} ({worth})"
    )


def _facts(hit: Hit) -> dict[str, str]:
    event, who = hit.event, hit.event.who
    values = {
        "eventTime": event.time,
        "eventName": event.name,
        "eventSource": event.source,
        "eventID": event.id,
        "awsRegion": event.region,
        "sourceIPAddress": event.address,
        "userAgent": event.agent,
        "errorCode": event.error,
        "principal": who.principal,
        "accessKeyId": who.access_key_id,
        "recipientAccountId": event.account,
    }
    return {name: _cut(value) for name, value in values.items() if value}


def _uri(hit: Hit) -> str:
    key = quote(hit.proof.log.encode("utf-8", "surrogateescape"))
    return f"s3://{quote(hit.proof.bucket)}/{key}" if hit.proof.bucket else key


def _cut(value: str | None) -> str:
    return printable(value[:_LONGEST]) if value else ""
