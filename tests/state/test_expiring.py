"""What a bucket's lifecycle rules remove is no evidence; nor do they end what somebody stands accused of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.evidence.event_history import expiring_rule
from cloudtrail_validate.state import run as state_run
from cloudtrail_validate.state.codec import decode
from cloudtrail_validate.state.model import State
from tests.state.test_random_runs import unreadable
from tests.state.test_runs import DAY, START, Trail, told, trail

__all__ = ["trail", "unreadable"]
RULE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "AWSLogs/"}, "Expiration": {"Days": 1}}
END = START + 3 * DAY


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rules of the bucket, which a folder has not."""
    held = [RULE]
    monkeypatch.setattr(state_run, "expiring_rule", lambda _, key, age: expiring_rule(held, key, age))
    return held


def ask(trail: Trail, now: datetime = END + timedelta(minutes=40), **more: Any) -> Report:
    request = Request(END - DAY, END, source=trail.folder, public_keys=trail.keys, state=str(trail.state), **more)
    return run(request, now=now).report


def begin(trail: Trail) -> Report:
    return trail.ask(START, END)


def remove(trail: Trail, hours: Iterable[int]) -> None:
    for hour in hours:
        for path in (*trail.logs(hour), trail.digest(hour)):
            path.unlink()
            Path(f"{path}.metadata.json").unlink(missing_ok=True)


def known(trail: Trail) -> State:
    return decode(trail.state.read_bytes(), "a.state")


@pytest.mark.parametrize("more", [{}, {"recheck": "100%"}])
def test_a_day_that_goes_in_parts(trail: Trail, more: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    """The last files of a day are written on the next, and go a day later: they name what is gone."""
    begin(trail)
    remove(trail, range(23))
    kept = trail.state.read_bytes()
    report = ask(trail, **more)
    assert (report.exit_code, set(told(report))) == (0, {"history-rewritten"})
    assert {finding.status for finding in report.findings} == {"notice"}
    remove(trail, [23])
    assert (ask(trail, **more).exit_code, known(trail).open, known(trail).regions[0].unproven) == (0, (), ())
    trail.state.write_bytes(kept)
    rules.clear()
    assert ask(trail).exit_code == 1


def test_the_logs_alone_go_where_the_rule_is_theirs(trail: Trail, rules: list[dict[str, Any]]) -> None:
    rules[0] = {**RULE, "Filter": {"Prefix": "AWSLogs/111122223333/CloudTrail/"}}
    begin(trail)
    for hour in (3, 4, 5):
        for path in trail.logs(hour):
            path.unlink()
    assert ask(trail).exit_code == 0
    trail.digest(30).unlink()
    assert ask(trail).exit_code == 1


def test_what_is_rewritten_at_that_age_is_found_all_the_same(trail: Trail) -> None:
    begin(trail)
    path = trail.logs(5)[0]
    path.write_bytes(trail.logs(6)[0].read_bytes())
    assert told(ask(trail)) == ["log-altered"]


def test_what_somebody_stands_accused_of_does_not_end_with_the_rest(trail: Trail, rules: list[dict[str, Any]]) -> None:
    rules[0] = {**RULE, "Expiration": {"Days": 2}}
    early = START + timedelta(hours=44)  # no hour is two days old then
    request = Request(START, early, source=trail.folder, public_keys=trail.keys, state=str(trail.state))
    assert run(request, now=early).report.exit_code == 0
    path = trail.digest(5)
    path.unlink()
    Path(f"{path}.metadata.json").unlink(missing_ok=True)
    assert "digest-missing" in told(run(request, now=early).report)
    remove(trail, [hour for hour in range(24) if hour != 5])
    for log in trail.logs(5):
        log.unlink()
    for _ in range(3):
        report = ask(trail)
        assert report.exit_code == 1
        assert {finding.rule for finding in report.findings if finding.status != "notice"} == {"digest-missing"}
    assert [item.rule for item in known(trail).open] == ["digest-missing"]
    assert known(trail).regions[0].unproven == ()


def test_what_was_planted_outlives_its_digests_and_stays_accused(trail: Trail, rules: list[dict[str, Any]]) -> None:
    rules[0] = {**RULE, "Expiration": {"Days": 2}}
    early = START + timedelta(hours=44)
    path = trail.logs(5)[0]
    path.with_name(f"{path.name[:-24]}0000AAAAAAAAAAAA.json.gz").write_bytes(path.read_bytes())
    request = Request(START, early, source=trail.folder, public_keys=trail.keys, state=str(trail.state))
    assert "log-extra" in told(run(request, now=early).report)
    delivered = {hour: trail.logs(hour) for hour in range(24)}
    for hour, logs in delivered.items():
        for log in (*logs, trail.digest(hour)):
            if "AAAAAAAAAAAA" not in log.name:
                log.unlink()
    for _ in range(2):
        report = ask(trail)
        assert (report.exit_code, "log-extra" in told(report)) == (1, True)


def test_what_was_merely_not_proven_does(trail: Trail, unreadable: set[str]) -> None:
    unreadable.add(trail.digest(5).relative_to(trail.folder).as_posix())
    assert begin(trail).exit_code == 3
    assert known(trail).regions[0].unproven
    remove(trail, range(23))
    assert trail.logs(23)  # of its day, something is left
    assert ask(trail).exit_code == 0
    assert (known(trail).open, known(trail).regions[0].unproven) == ((), ())


def test_a_clock_that_went_back_accuses_nobody(trail: Trail) -> None:
    begin(trail)
    kept = known(trail)
    early = START + timedelta(hours=30)
    request = Request(START, early, source=trail.folder, public_keys=trail.keys, state=str(trail.state))
    assert run(request, now=early).report.exit_code == 0
    assert known(trail).open == ()
    assert {item.start for item in known(trail).regions[0].stretches} == {
        item.start for item in kept.regions[0].stretches
    }
    trail.logs(50)[0].unlink()
    assert told(ask(trail)) == ["log-missing"]
