"""Sigma rules: what they match, in any letter case, and what becomes of rules that cannot be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.search.event import read_event
from cloudtrail_validate.search.hits import Hit, Proof
from cloudtrail_validate.search.sigma import RuleStage, load
from tests.search.events import ROOT, raw
from tests.search.kit import Trail, make_trail

if TYPE_CHECKING:
    from pathlib import Path

RULE = """\
title: {title}
id: 00000000-0000-4000-8000-{number:012d}
author: A. Author
level: high
logsource: {{product: aws, service: cloudtrail}}
detection:
{detection}
"""


def write(folder: Path, detection: str, number: int = 1, title: str = "Rule") -> Path:
    folder.mkdir(exist_ok=True)
    indented = "\n".join(f"    {line}" for line in detection.strip().splitlines())
    (folder / f"{number}.yml").write_text(RULE.format(title=title, number=number, detection=indented))
    return folder


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("selection: {eventName: StopInstances}\ncondition: selection", {}, True),
    ("selection: {eventName: stopinstances}\ncondition: selection", {}, True),
    ("selection: {eventName: StartInstances}\ncondition: selection", {}, False),
    ("selection: {eventName|startswith: stop}\ncondition: selection", {}, True),
    ("selection: {eventName|contains: ['x', 'inst']}\ncondition: selection", {}, True),
    ("selection: {userIdentity.type: Root}\ncondition: selection", {}, False),
    ("selection: {userIdentity.type: Root}\ncondition: selection", {"userIdentity": ROOT}, True),
    (
        "selection: {userIdentity.type: Root}\nfilter: {eventType: AwsServiceEvent}\ncondition: selection and not filter",
        {"userIdentity": ROOT, "eventType": "AwsServiceEvent"},
        False,
    ),
    ("selection: {eventName: StopInstances, errorCode: null}\ncondition: selection", {}, True),
    ("selection: {eventName: StopInstances, errorCode: null}\ncondition: selection", {"errorCode": "X"}, False),
    ("selection: {readOnly: false}\ncondition: selection", {}, True),
    ("selection: {readOnly: true}\ncondition: selection", {}, False),
    ("selection: {requestParameters.n: 3}\ncondition: selection", {"requestParameters": {"n": 3}}, True),
    ("selection: {requestParameters.n|gte: 4}\ncondition: selection", {"requestParameters": {"n": 3}}, False),
    ("selection: {requestParameters|contains: i-0123}\ncondition: selection", {}, True),
    ("selection: {sourceIPAddress|cidr: 203.0.113.0/24}\ncondition: selection", {}, True),
    ("selection: {userAgent|re: '^aws-cli/[0-9.]+$'}\ncondition: selection", {}, True),
    ("selection: {userAgent|re: '^(a+)+$'}\ncondition: selection", {"userAgent": "a" * 5_000 + "!"}, False),
    ("s1: {eventName: X}\ns2: {eventSource: ec2.amazonaws.com}\ncondition: 1 of s*", {}, True),
    ("s1: {eventName: X}\ns2: {eventSource: ec2.amazonaws.com}\ncondition: all of s*", {}, False),
    ("selection: {awsRegion|fieldref: awsRegion}\ncondition: selection", {}, True),
    ('selection: {eventName: "a\'; DROP TABLE logs; --"}\ncondition: selection', {}, False),
    ("selection: {'odd \" field`': x}\ncondition: selection", {'odd " field`': "x"}, True),
    # What rules call 'false' is false in most events, and text in some.
    ("selection: {requestParameters.on: 'false'}\ncondition: selection", {"requestParameters": {"on": False}}, True),
    ("selection: {requestParameters.on: 'false'}\ncondition: selection", {"requestParameters": {"on": "False"}}, True),
    ("selection: {requestParameters.on: false}\ncondition: selection", {"requestParameters": {"on": "false"}}, True),
    ("selection: {requestParameters.on: false}\ncondition: selection", {"requestParameters": {"on": True}}, False),
    ("selection: {requestParameters.on: 'false'}\ncondition: selection", {"requestParameters": {}}, False),
    (
        "selection: {requestParameters.on|contains: 'tru'}\ncondition: selection",
        {"requestParameters": {"on": True}},
        True,
    ),
    # Numbers are numbers in some events and text in others.
    ("selection: {requestParameters.port: '22'}\ncondition: selection", {"requestParameters": {"port": 22}}, True),
    ("selection: {requestParameters.port: 22}\ncondition: selection", {"requestParameters": {"port": "22"}}, True),
    ("selection: {requestParameters.port: '22'}\ncondition: selection", {"requestParameters": {"port": 220}}, False),
    (
        "selection: {requestParameters.port|lt: 1024}\ncondition: selection",
        {"requestParameters": {"port": "443"}},
        True,
    ),
    (
        "selection: {requestParameters.port|gte: 3}\ncondition: selection",
        {"requestParameters": {"port": "none"}},
        False,
    ),
    (
        "selection: {requestParameters.port|gte: 3}\ncondition: selection",
        {"requestParameters": {"port": 10**400}},
        False,
    ),
    # A list meets what one of its members meets, a field of a list of objects likewise.
    ("selection: {requestParameters.ids: B}\ncondition: selection", {"requestParameters": {"ids": ["a", "b"]}}, True),
    ("selection: {requestParameters.ids: c}\ncondition: selection", {"requestParameters": {"ids": ["a", "b"]}}, False),
    ("selection: {requestParameters.ids: null}\ncondition: selection", {"requestParameters": {"ids": ["a"]}}, False),
    (
        "selection: {requestParameters.ids|endswith: b}\ncondition: selection",
        {"requestParameters": {"ids": ["ab", "c"]}},
        True,
    ),
    (
        "selection: {requestParameters.ids|gt: 3}\ncondition: selection",
        {"requestParameters": {"ids": [1, [2, 4]]}},
        True,
    ),
    ("selection: {requestParameters.ids: 'true'}\ncondition: selection", {"requestParameters": {"ids": [True]}}, True),
    (
        "selection: {requestParameters.ids|re: '^b+$'}\ncondition: selection",
        {"requestParameters": {"ids": ["a", "bb"]}},
        True,
    ),
    (
        "selection: {requestParameters.ids|cidr: 2001:db8::/32}\ncondition: selection",
        {"requestParameters": {"ids": ["x", "2001:db8:0:1::7"]}},
        True,
    ),
    (
        "selection: {requestParameters.ids|contains|all: [a, b]}\ncondition: selection",
        {"requestParameters": {"ids": ["xa", "b"]}},
        True,
    ),
    ("selection: {requestParameters.ids|exists: true}\ncondition: selection", {"requestParameters": {"ids": []}}, True),
    ("selection: {requestParameters.ids|exists: true}\ncondition: selection", {}, False),
    (
        "selection: {eventName: StopInstances}\nfilter: {requestParameters.sets.id: b}\ncondition: selection and not filter",
        {"requestParameters": {"sets": [{"id": "a"}, {"id": "b"}]}},
        False,
    ),
    (
        "selection: {requestParameters.tasks.commands|contains: '$SECRET'}\ncondition: selection",
        {"requestParameters": {"tasks": [{"name": "x"}, {"commands": ["sh", "-c", "curl $SECRET"]}]}},
        True,
    ),
    (
        "selection: {requestParameters.tasks.a.b: x}\ncondition: selection",
        {"requestParameters": {"tasks": [1, {"a": [{"b": "x"}]}]}},
        True,
    ),
    # A policy is text with JSON in it.
    (
        "selection: {requestParameters|contains|all: ['\"s3:GetObject\"', '\"Allow\"']}\ncondition: selection",
        {"requestParameters": {"document": json.dumps({"Effect": "Allow", "Action": ["s3:GetObject"]})}},
        True,
    ),
    (
        "selection: {requestParameters.name|contains: '*'}\ncondition: selection",
        {"requestParameters": {"name": ""}},
        True,
    ),
    (
        "selection: {requestParameters.name|contains: '*'}\ncondition: selection",
        {"requestParameters": {"name": None}},
        False,
    ),
    (
        "selection: {requestParameters.name: 'a_b%c'}\ncondition: selection",
        {"requestParameters": {"name": "A_B%C"}},
        True,
    ),
    (
        "selection: {requestParameters.name: 'a_b%c'}\ncondition: selection",
        {"requestParameters": {"name": "axbxc"}},
        False,
    ),
    (
        "selection: {requestParameters.name: 'a?c*'}\ncondition: selection",
        {"requestParameters": {"name": "abcd\ne"}},
        True,
    ),
    (
        "selection: {requestParameters.name: 'a\\*c'}\ncondition: selection",
        {"requestParameters": {"name": "abc"}},
        False,
    ),
    (
        "selection: {requestParameters.name|cased: 'Ab*'}\ncondition: selection",
        {"requestParameters": {"name": "Abc"}},
        True,
    ),
    (
        "selection: {requestParameters.name|cased: 'Ab*'}\ncondition: selection",
        {"requestParameters": {"name": "abc"}},
        False,
    ),
    (
        "selection: {requestParameters.name|cased: '[x]*'}\ncondition: selection",
        {"requestParameters": {"name": "[x]y"}},
        True,
    ),
    (
        "selection: {requestParameters.name: '*a*a*a*a*a*a*b'}\ncondition: selection",
        {"requestParameters": {"name": "a" * 50_000}},
        False,
    ),
    # Words without a field lie anywhere, but in no field's name.
    ("words: ['i-0123']\ncondition: words", {}, True),
    ("words: ['eventName']\ncondition: words", {}, False),
    ("words: ['no such']\ns: {eventName: StopInstances}\ncondition: s and not words", {}, True),
    (
        (
            "selection: {userIdentity.arn|re: '.+:assumed-role/.+'}\n"
            "filter_main_a: [{eventSource: ssm.amazonaws.com}, {sourceIPAddress: AWS Internal}]\n"
            "condition: selection and not 1 of filter_main_*"
        ),
        {"userIdentity": {"arn": "arn:aws:sts::111122223333:assumed-role/ops/s"}, "sourceIPAddress": "aws internal"},
        False,
    ),
    (
        (
            "selection: {eventName: StopInstances}\nok: {errorCode: Success}\nnone: {errorCode: null}\n"
            "condition: selection and 1 of ok* and not none or selection and none"
        ),
        {},
        True,
    ),
    (
        (
            "selection: {eventName: StopInstances}\nfilter: {userIdentity.arn|fieldref: requestParameters.userName}\n"
            "condition: selection and not filter"
        ),
        {"userIdentity": {"arn": "x"}, "requestParameters": {"userName": "x"}},
        False,
    ),
]


@pytest.mark.parametrize(("detection", "fields", "expected"), CASES)
def test_rules_match_what_they_say(detection: str, fields: dict[str, Any], expected: bool, tmp_path: Path) -> None:
    rules = load(write(tmp_path / "rules", detection))
    assert rules.failed == {}
    data = raw(**fields)
    event = read_event(data)
    assert event is not None
    stage = RuleStage(rules)
    assert stage.take(Hit(data, Proof("log")), event) == []
    found = stage.rest()
    assert bool(found) is expected
    assert stage.rest() == []
    if expected:
        assert rules.needle is None or rules.needle.in_(data)
        (match,) = found[0][0].sigma
        assert (match.title, match.level, match.author, match.id[-3:]) == ("Rule", "high", "A. Author", "001")


def test_most_events_need_no_rule(tmp_path: Path) -> None:
    rules = load(write(tmp_path / "rules", "s: {eventName: ConsoleLogin}\nt: {eventSource: x}\ncondition: s and t"))
    assert rules.needle is not None
    assert not rules.needle.in_(raw())


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "rules", CASES[0][0])
    (folder / "broken.yml").write_text("title: [")
    (folder / "large.yml").write_text("#" * 2_000_000)
    (folder / "folder.yml").mkdir()
    os.mkfifo(folder / "pipe.yml")
    (folder / "nowhere.yml").symlink_to("nothing")
    (folder / "bytes.yml").write_bytes(b"\xff")
    (folder / "other.yml").write_text("title: T\nlogsource: {product: windows}\ndetection: {s: {a: b}, condition: s}\n")
    write(folder, "s: {eventName: X}\ncondition: s | count() by awsRegion > 5", 2)
    write(folder, "s: {eventName|expand: '%placeholder%'}\ncondition: s", 3)
    write(folder, "s: {eventName|re: 'a(?=b)'}\ncondition: s", 4)  # looks ahead, which takes an engine that backtracks
    rules = load(folder)
    assert [rule.match.title for rule in rules.compiled] == ["Rule"]
    assert len(rules.failed) == 8
    for name in ("broken", "large", "pipe", "nowhere", "bytes", "2", "3", "4"):
        assert any(f"{name}.yml" in failed for failed in rules.failed), name
    assert rules.skipped == 1


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("{product: aws, service: cloudtrail}", True),
        ("{service: cloudtrail}", True),
        ("{product: aws}", True),
        ("{product: aws, service: guardduty}", False),
        ("{category: webserver}", False),
    ],
)
def test_rules_for_cloudtrail_are_those_whose_source_it_is(source: str, read: bool, tmp_path: Path) -> None:
    folder = write(tmp_path / "rules", CASES[0][0])
    (folder / "2.yml").write_text(f"title: T\nlogsource: {source}\ndetection: {{s: {{eventName: b}}, condition: s}}\n")
    rules = load(folder)
    assert (len(rules.compiled), rules.skipped) == ((2, 0) if read else (1, 1))


def test_rules_of_one_title_are_named_each(tmp_path: Path) -> None:
    folder = write(tmp_path / "rules", CASES[0][0])
    for number in (2, 3):
        write(folder, "s: {eventName|re: 'a(?=b)'}\ncondition: s", number)
    assert len(load(folder).failed) == 2


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no Sigma rule"):
        load(tmp_path)
    with pytest.raises(RequestError, match="expected a folder"):
        load(tmp_path / "none")


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return make_trail(tmp_path)


def test_matches_are_findings_with_author_and_id(
    trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "rules", "s: {eventName: startinstances}\ncondition: s", 1, "Started")
    write(folder, "s: {errorCode: AccessDenied}\ncondition: s", 2, "Denied")
    every = [event for path in trail.logs for event in trail.events(path)]
    code, found = trail.lines(capsys, "--rules", str(folder))
    assert code == 0
    expected = {e["eventID"]: "Started" for e in every if e["eventName"] == "StartInstances"}
    expected |= {e["eventID"]: "Denied" for e in every if "errorCode" in e}
    assert {line["eventID"]: line["matched"]["sigma"][0]["title"] for line in found} == expected
    sarif = json.loads(trail.search(capsys, "--rules", str(folder), "--format", "sarif").out)["runs"][0]
    assert {rule["shortDescription"]["text"] for rule in sarif["tool"]["driver"]["rules"]} == {"Started", "Denied"}
    assert {rule["properties"]["author"] for rule in sarif["tool"]["driver"]["rules"]} == {"A. Author"}
    assert {result["level"] for result in sarif["results"]} == {"error"}
    ocsf = json.loads(trail.search(capsys, "--rules", str(folder), "--format", "ocsf").out)
    assert len(ocsf) == len(sarif["results"]) == len(found)
    assert {finding["finding_info"]["analytic"]["desc"] for finding in ocsf} == {"by A. Author"}
    (folder / "3.yml").write_text("title: [")
    assert trail.search(capsys, "--rules", str(folder)).code == 3


@pytest.mark.parametrize("missing", ["sigma", "re2"])
def test_without_the_extra_everything_else_is_there(missing: str, trail: Trail, tmp_path: Path) -> None:
    write(tmp_path / "rules", CASES[0][0])
    start = f"import sys; sys.modules[{missing!r}] = None; from cloudtrail_validate.__main__ import entry; entry()"
    for words, code, told in (
        (["--event", "StartInstances"], 0, '"eventName":"StartInstances"'),
        (["--rules", str(tmp_path / "rules")], 2, "expected the sigma extra: pip install 'ctvalidate[sigma]'"),
    ):
        command = [sys.executable, "-c", start, "search", *trail.scope, "--format", "jsonl", *words]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (answer.returncode, told in answer.stdout + answer.stderr) == (code, True), answer.stderr
