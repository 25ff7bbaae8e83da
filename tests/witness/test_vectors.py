"""Every vector of the witness: a trail in moto, its logs and what the sources tell edited, and all that must come of it.

`vector.json` has a name, a reason, the simulated trail, edits, options, and what is to be found. Events are named by their
place: `log N` counts the trail's logs in order of their keys, from the end where negative, and `event N` the events in it.
"""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import pytest

from cloudtrail_validate.core.rules import LOG_REWRITTEN, RULES
from cloudtrail_validate.report import WitnessRecord

from .kit import GROUP, REGION, Trail

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from tests.servers.aws import AwsServer

FOLDER: Final = Path(__file__).parent / "vectors"
NEW_ID: Final = "11111111-2222-4333-8444-555555555555"
SourceName = Literal["event-history", "log-group"]
BOTH: Final[tuple[SourceName, ...]] = ("event-history", "log-group")


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One edit.

    tell: sources tell one more event, made of the one named, with another id, which no log holds.
    retell: sources tell the event named otherwise. untell: sources do not know it. move: another region's history tells it.
    edit-log, cut-log, drop-log: an event in the log is other, an event is not in it, the log is gone.
    throttle: so many requests to each source are refused first.
    """

    do: Literal["tell", "retell", "untell", "move", "edit-log", "cut-log", "drop-log", "throttle"]
    sources: tuple[SourceName, ...] = BOTH
    log: int = 0
    event: int = 0
    set: dict[str, Any] = {}
    before_end: int | None = None
    """Minutes before the window's end at which the event happened."""
    region: str = ""
    times: int = 0


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The trail. `selectors`, `group`: CloudTrail knows the trail, and its log group, if any, tells what the logs hold."""

    regions: tuple[str, ...] = (REGION,)
    days_ago: int = 0
    selectors: dict[str, Any] | None = None
    group: bool = False


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exit code, how often each rule is found, and numbers of the record that differ from those where all agree.

    Every rule is meant but `log-rewritten`: the simulated past was written now. `told`: how many sources told events.
    `problem`: words of why a source did not tell all. `message`: words of the finding. `disagreeing`: events told by a
    source that no log holds like that, where that is not the sum of `numbers`.
    """

    exit: int
    findings: dict[str, int] = {}
    numbers: dict[Literal["absent", "differing", "left_out", "undue"], int] = {}
    disagreeing: int | None = None
    told: int = 1
    problem: str | None = None
    message: str = ""


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case."""

    name: str
    why: str
    rule: str
    expect: Expect
    trail: Spec = Spec()
    edits: tuple[Edit, ...] = ()
    options: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    """Those asked for, if not all that the trail has."""


VECTORS: Final = {path.parent.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("vector.json"))}
EVERY = pytest.mark.parametrize("name", VECTORS)


@cache
def read(name: str) -> Vector:
    return msgspec.json.decode(VECTORS[name].read_bytes(), type=Vector)


class World:
    """The trail of a vector, and what was told of it before any edit."""

    def __init__(self, aws: AwsServer, vector: Vector) -> None:
        self.aws = aws
        spec = vector.trail
        self.trail = Trail(aws, days_ago=spec.days_ago, regions=spec.regions, multi_region=len(spec.regions) > 1)
        self.arn: str | None = None
        if spec.selectors is not None or spec.group:
            self.arn = self.trail.create(**spec.selectors or {})
            aws.event_log_group = aws.event_log_group if spec.group else None

    def apply(self, edit: Edit) -> None:
        if edit.do == "throttle":
            for call in ("LookupEvents", "FilterLogEvents"):
                self.aws.throttled[call] = edit.times
            return
        key = self.trail.logs[edit.log]
        records = self.trail.read(key)
        event = records[edit.event]
        changed = deepcopy(event) | edit.set
        if edit.before_end is not None:
            moment = self.trail.simulation.manifest.end - timedelta(minutes=edit.before_end)
            changed["eventTime"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        match edit.do:
            case "tell":
                self.replace(edit, None, changed | {"eventID": NEW_ID})
            case "retell":
                self.replace(edit, event, changed)
            case "untell":
                self.replace(edit, event, None)
            case "move":
                self.replace(edit, event, None)
                self.aws.history.setdefault(edit.region, []).append(changed | {"awsRegion": edit.region})
            case "edit-log":
                self.trail.write(key, [changed if one is event else one for one in records])
            case "cut-log":
                self.trail.write(key, [one for one in records if one is not event])
            case "drop-log":
                self.trail.drop(key)

    def replace(self, edit: Edit, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Let the sources know another event, or none, in the place of one."""
        region = new["awsRegion"] if new else old["awsRegion"] if old else REGION
        for source in edit.sources:
            held = (
                self.aws.history.setdefault(region, []) if source == "event-history" else self.aws.log_groups.get(GROUP)
            )
            if held is not None:
                held[:] = [one for one in held if old is None or one["eventID"] != old["eventID"]] + (
                    [new] if new else []
                )


def compared(report: Report) -> WitnessRecord:
    assert isinstance(report.witness, WitnessRecord)
    return report.witness


@EVERY
def test_a_vector_brings_about_its_findings(aws: AwsServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, value in (("sources.HISTORY_RATE", 1e3), ("sources.GROUP_RATE", 1e3)):  # AWS's own pace is for AWS
        monkeypatch.setattr(f"cloudtrail_validate.witness.{limit}", value)
    monkeypatch.setattr("cloudtrail_validate.aws.event_history._FIRST_WAIT", 0.01)
    vector = read(name)
    world = World(aws, vector)
    for edit in vector.edits:
        world.apply(edit)
    expect = vector.expect
    report = world.trail.witness(*vector.options, trail=world.arn, regions=vector.regions or vector.trail.regions)
    assert Counter(one.rule for one in report.findings if one.rule != LOG_REWRITTEN) == expect.findings
    assert report.exit_code == expect.exit
    told = compared(report)
    asked = ("absent", "differing", "left_out", "undue")
    assert {number: getattr(told, number) for number in asked} == dict.fromkeys(asked, 0) | expect.numbers
    disagreeing = sum(expect.numbers.values()) if expect.disagreeing is None else expect.disagreeing
    assert told.agreeing == told.compared - disagreeing
    assert sum(source.events > 0 for source in told.sources) == expect.told
    problems = [source.problem for source in told.sources if source.problem]
    assert [expect.problem in problem for problem in problems if expect.problem] == [True] * len(problems)
    assert (expect.problem is None) == (problems == [])
    assert expect.message in " ".join(one.message for one in report.findings if one.rule == vector.rule)
    assert any(edit.do == "throttle" for edit in vector.edits) == ("throttled" in name), (
        "a throttled source was really throttled"
    )
    assert not any(aws.throttled.values())


@EVERY
def test_a_vector_is_what_its_folder_says(name: str) -> None:
    vector = read(name)
    assert (vector.name, vector.rule) == (name, name.partition("/")[0])
    assert vector.why[0].isupper()
    assert vector.why.endswith(".")
    assert vector.rule == "clean" or vector.rule in vector.expect.findings
    assert vector.rule != "clean" or not any(rule.startswith("witness-") for rule in vector.expect.findings)
    assert VECTORS[name].read_text() == json.dumps(json.loads(VECTORS[name].read_text()), indent=2) + "\n"


def test_every_rule_has_a_vector() -> None:
    rules = {rule for rule in RULES if rule.startswith("witness-")}
    assert {read(name).rule for name in VECTORS} == rules | {"clean"}
