"""Findings become incidents: by cause, in one piece, each finding in one of them, and what to do can be pasted."""

from __future__ import annotations

import itertools
import random
import shlex
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import Cause, Interval, Status
from cloudtrail_validate.report import FindingRecord, Report, StepRecord
from cloudtrail_validate.report.incidents import MOST_PLACES, NEAR, SLACK, Incident, group, incidents
from cloudtrail_validate.report.references import hours
from cloudtrail_validate.report.steps import Advisor
from tests.report import samples
from tests.report.samples import (
    ACCOUNT,
    BUCKET,
    HOSTILE_KEYS,
    SECOND,
    at,
    chain,
    digest_key,
    explained,
    finding,
    log_key,
    report,
)


def lost_digest(hour: int, logs: int, account: str = ACCOUNT, region: str = "us-east-1") -> list[FindingRecord]:
    """A digest that is gone, its gap, and the logs that it leaves unproven."""
    place: dict[str, Any] = {"account": account, "region": region}
    return [
        finding(rules.DIGEST_MISSING, digest_key(hour + 1, account, region), hours=(hour, hour + 1), **place),
        finding(rules.GAP_BROKEN, hours=(hour, hour + 1), **place),
        *(
            finding(rules.LOG_UNDIGESTED, log_key(hour, n, account, region), hours=(hour, hour + 1), **place)
            for n in range(logs)
        ),
    ]


def rules_of(incident: Incident, sample: Report) -> dict[str, int]:
    found = [sample.findings[number].rule for number in incident.members]
    return {rule: found.count(rule) for rule in dict.fromkeys(found)}


def test_a_lost_digest_its_gap_and_its_logs_are_one_incident() -> None:
    sample = report([chain()], lost_digest(5, 8))
    (incident,) = group(sample)
    assert sample.findings[incident.lead].rule == rules.DIGEST_MISSING
    assert incident.status is Status.MISSING
    assert incident.when == Interval(at(5), at(6))
    assert incident.places == (((ACCOUNT, "us-east-1"), 10),)
    assert rules_of(incident, sample) == {rules.DIGEST_MISSING: 1, rules.GAP_BROKEN: 1, rules.LOG_UNDIGESTED: 8}


def test_a_log_that_is_named_off_its_hour_makes_the_incident_no_longer() -> None:
    lost = lost_digest(5, 0)
    lost.append(finding(rules.LOG_UNDIGESTED, log_key(6), hours=(6, 7)))
    (incident,) = group(report([chain()], lost))
    assert incident.when == Interval(at(5), at(6))


def test_one_night_in_many_places_is_one_incident_with_samples_from_each() -> None:
    places = [(ACCOUNT, "us-east-1"), (ACCOUNT, "eu-west-1"), (SECOND, "us-east-1")]
    found = [one for n, place in enumerate(places) for one in lost_digest(5 + n, 600, *place)]
    sample = report([chain(*place) for place in places], found)
    (incident,) = group(sample)
    assert incident.when == Interval(at(5), at(8))
    assert [number for _, number in incident.places] == [602, 602, 602]
    first = [sample.findings[number] for number in incident.members[:3]]
    assert {(one.account, one.region) for one in first} == set(places)
    assert {one.rule for one in first} == {rules.DIGEST_MISSING}


def test_another_night_and_another_cause_are_incidents_of_their_own() -> None:
    later = 5 + 1 + int(SLACK / timedelta(hours=1))
    sample = report([chain()], [*lost_digest(5, 2), *lost_digest(later, 2), *lost_digest(later + 8, 2)])
    assert len(group(sample)) == 2  # the second follows the first by just `SLACK`
    mixed = [
        finding(rules.LOG_MISSING, log_key(5), hours=(5, 6)),
        finding(rules.LOG_ALTERED, log_key(5, 1), hours=(5, 6)),
        finding(rules.LOG_TRAILING_DATA, log_key(5, 2), hours=(5, 6)),
        finding(rules.LOG_EXTRA, log_key(5, 3), hours=(5, 6)),
    ]
    found = group(report([chain()], mixed))
    assert [one.status for one in found] == [Status.ALTERED, Status.MISSING, Status.EXTRA]
    assert len(found[0].members) == 2  # both are content that somebody wrote over


def test_one_permission_is_one_incident_whenever_it_was_missing() -> None:
    denied = [
        finding(rules.LOG_UNREADABLE, log_key(hour), hours=(hour, hour + 1), cause=Cause.ACCESS_DENIED)
        for hour in (1, 20, 300)
    ]
    archived = finding(rules.LOG_UNREADABLE, log_key(2, 1), hours=(2, 3), cause=Cause.ARCHIVED)
    digest = finding(rules.DIGEST_UNREADABLE, digest_key(400), hours=(399, 400), cause=Cause.ACCESS_DENIED)
    found = group(report([chain(hours=500)], [*denied, archived, digest], hours=500))
    assert sorted(len(one.members) for one in found) == [1, 4]


def test_two_trails_in_one_place_do_not_swallow_each_other() -> None:
    absent = finding(rules.CHAIN_ABSENT, hours=(0, 24), trail="other")
    assert len(group(report([chain()], [absent, *lost_digest(5, 3)]))) == 2


def test_without_hours_findings_are_told_last_and_together() -> None:
    stray = [finding(rules.LOG_EXTRA, f"AWSLogs/{n}") for n in range(3)]
    timed = finding(rules.LOG_EXTRA, log_key(3), hours=(3, 4))
    found = group(report([chain()], [*stray, timed]))
    assert [(one.when is None, len(one.members)) for one in found] == [(False, 1), (True, 3)]


RULES = sorted(rules.RULES)
SPANS = st.tuples(st.integers(0, 60), st.integers(0, 4))
FOUND = st.lists(
    st.tuples(st.sampled_from(RULES), SPANS, st.sampled_from([ACCOUNT, SECOND]), st.booleans()), max_size=14
)


def made(values: list[tuple[str, tuple[int, int], str, bool]]) -> list[FindingRecord]:
    out = []
    for number, (rule, (start, length), account, timed) in enumerate(values):
        key = None if rule.startswith("gap") or rule == rules.CHAIN_ABSENT else f"AWSLogs/{number}"
        cause = {"cause": Cause.KMS_DENIED} if rule.endswith("unreadable") else {}
        span = (start, start + length) if timed else None
        out.append(finding(rule, key, hours=span, account=account, **cause))
    return out


def naive(findings: tuple[FindingRecord, ...]) -> set[frozenset[int]]:  # noqa: C901  # an oracle is read in one piece
    """The same by comparing all with all, until nothing joins any more."""
    gaps = {rules.GAP_BROKEN, rules.GAP_RESTART, rules.GAP_LATE_START, rules.GAP_TAIL, rules.CHAIN_ABSENT}
    times = [hours(one) for one in findings]

    def lossy(number: int) -> bool:
        one = findings[number]
        digest = one.rule.startswith("digest-") and one.status is not Status.NOTICE
        return times[number] is not None and (digest or one.rule in gaps or one.rule == rules.LOG_UNDIGESTED)

    def touch(a: int, b: int) -> bool:
        (first, x), (second, y) = sorted([(times[a], a), (times[b], b)], key=lambda pair: (pair[0] or (), pair[1]))
        assert first is not None
        assert second is not None
        slack = NEAR if findings[y].rule == rules.LOG_UNDIGESTED else timedelta()
        return x != y and second.start < first.end + slack

    def joined(groups: list[set[int]], together: Any) -> list[set[int]]:
        while True:
            pair = next(((a, b) for a, b in itertools.combinations(groups, 2) if together(a, b)), None)
            if pair is None:
                return groups
            groups = [one for one in groups if one not in pair] + [pair[0] | pair[1]]

    def same_chain(a: set[int], b: set[int]) -> bool:
        return any(
            lossy(x) and lossy(y) and findings[x].account == findings[y].account and touch(x, y) for x in a for y in b
        )

    def lead(members: set[int]) -> tuple[str, str]:
        def rank(number: int) -> tuple[int, int, int, int]:
            one = findings[number]
            sort = 0 if one.rule.startswith("digest-") else 1 if one.rule in gaps else 2
            return sort, list(Status).index(one.status), list(rules.RULES).index(one.rule), number

        one = findings[min(members, key=rank)]
        if one.cause is not None and one.status is Status.UNVERIFIABLE:
            return "", str(one.cause)
        content = {rules.LOG_MALFORMED, rules.LOG_TRAILING_DATA}
        return (rules.LOG_ALTERED if one.rule in content else one.rule), str(one.status)

    clusters = joined([{number} for number in range(len(findings))], same_chain)
    leads = {frozenset(one): lead(one) for one in clusters}

    def extent(members: set[int]) -> Interval | None:
        parts = [part for part in leads if part <= members]
        known = []
        for part in parts:
            telling = {n for n in part if findings[n].rule != rules.LOG_UNDIGESTED} or part
            known += [when for n in telling if (when := times[n]) is not None]
        return Interval(min(one.start for one in known), max(one.end for one in known)) if known else None

    def lead_of(members: set[int]) -> tuple[str, str]:
        return next(value for part, value in leads.items() if part <= members)

    def same_cause(a: set[int], b: set[int]) -> bool:
        if lead_of(a) != lead_of(b):
            return False
        one, other = extent(a), extent(b)
        if one is None or other is None:
            return one is other
        whenever = not lead_of(a)[0] or lead_of(a)[1] == Status.NOTICE
        return whenever or (one.start <= other.end + SLACK and other.start <= one.end + SLACK)

    return {frozenset(one) for one in joined(clusters, same_cause)}


@given(FOUND)
def test_grouping_is_that_of_comparing_all_with_all(values: list[tuple[str, tuple[int, int], str, bool]]) -> None:
    sample = report([chain()], made(values), hours=80)
    found = group(sample)
    assert {frozenset(one.members) for one in found} == naive(sample.findings)
    assert sorted(number for one in found for number in one.members) == list(range(len(sample.findings)))
    for one in found:
        assert one.lead in one.members
        assert sum(number for _, number in one.places) == len(one.members)


@given(FOUND, st.randoms(use_true_random=False))
def test_the_order_of_findings_changes_no_grouping(
    values: list[tuple[str, tuple[int, int], str, bool]], shuffler: random.Random
) -> None:
    findings = made(values)
    mixed = list(findings)
    shuffler.shuffle(mixed)

    def keys(found: list[FindingRecord]) -> list[set[str]]:
        sample = replace(report([chain()], [], hours=80), findings=tuple(found))
        texts = [{repr(sample.findings[n]) for n in one.members} for one in group(sample)]
        return sorted(texts, key=sorted)

    assert keys(findings) == keys(mixed)


def test_the_record_counts_everything_and_lists_a_bounded_part() -> None:
    accounts = [f"{111122223333 + n * 7:012}" for n in range(80)]
    found = [
        finding(rules.LOG_MISSING, log_key(5, n, account), hours=(5, 6), account=account)
        for account in accounts
        for n in range(3)
    ]
    sample = report([chain(account) for account in accounts], found)
    (told,) = incidents(sample)
    assert (told.findings, told.places_total, len(told.places)) == (240, 80, MOST_PLACES)
    assert told.rules == {rules.LOG_MISSING: 240}
    assert len({sample.findings[number].account for number in told.samples}) == len(told.samples)


def test_a_hundred_thousand_findings_in_thousands_of_places_are_grouped_in_one_pass() -> None:
    """A place with many findings beside many places with one: taking turns must not cost their product."""
    many = [finding(rules.LOG_MISSING, log_key(5, n), hours=(5, 6)) for n in range(3_000)]
    few = [
        finding(
            rules.LOG_MISSING, log_key(5, 0, f"{222233334444 + n:012}"), hours=(5, 6), account=f"{222233334444 + n:012}"
        )
        for n in range(3_000)
    ]
    (incident,) = group(report([chain()], [*many, *few]))
    assert len(incident.members) == 6_000
    assert len(incident.places) == 3_001


# --- what to do next


def commands(steps: tuple[StepRecord, ...]) -> list[list[str]]:
    return [shlex.split(step.command) for step in steps if step.command]


def advice(sample: Report, **given: Any) -> tuple[StepRecord, ...]:
    (incident,) = group(sample)
    lead = sample.findings[incident.lead]
    return Advisor(sample, **given).steps(lead, incident.when, places=len(incident.places))


def test_commands_name_the_real_bucket_key_trail_region_and_profile() -> None:
    key = log_key(5) + " $(reboot) 'quoted'"
    sample = report([chain()], [finding(rules.LOG_MISSING, key, hours=(5, 6))])
    request = replace(
        sample.request, profile="audit", endpoint_url="https://s3.example.com", role_arn="arn:aws:iam::1:r/x"
    )
    again, versions, lifecycle = commands(advice(replace(sample, request=request)))
    login = ["--profile", "audit", "--endpoint-url", "https://s3.example.com"]
    assert again[:3] == ["ctvalidate", "--trail-arn", samples.TRAIL_ARN]
    assert again[-2 - len(login) :] == [*login, "--role-arn", "arn:aws:iam::1:r/x"]
    assert again[3:7] == ["--start-time", "2026-01-01T05:00:00Z", "--end-time", "2026-01-01T06:00:00Z"]
    assert versions == ["aws", "s3api", "list-object-versions", "--bucket", BUCKET, "--prefix", key, *login]
    assert lifecycle[3:5] == ["--bucket", BUCKET]


def test_with_versions_the_proven_original_leads() -> None:
    sample = report([chain()], [explained(finding(rules.LOG_ALTERED, log_key(5), hours=(5, 6)))])
    steps = advice(sample, kept="last night's.json")
    recover, diff, restore = commands(steps)
    assert recover == ["ctvalidate", "recover", "last night's.json", "--to", "originals"]
    assert diff == [
        "ctvalidate",
        "diff",
        f"s3://{BUCKET}/{log_key(5)}?versionId=v1",
        f"s3://{BUCKET}/{log_key(5)}",
    ]
    assert restore[:3] == ["aws", "s3api", "copy-object"]


def test_hours_without_a_digest_lead_to_who_touched_the_trail() -> None:
    sample = report([chain()], [finding(rules.GAP_RESTART, hours=(5, 7))])
    lookup, status = commands(advice(sample))
    assert lookup[:5] == ["aws", "cloudtrail", "lookup-events", "--region", "us-east-1"]
    assert lookup[lookup.index("--start-time") + 1] == "2026-01-01T02:00:00Z"
    assert lookup[lookup.index("--end-time") + 1] == "2026-01-01T10:00:00Z"
    assert status == ["aws", "cloudtrail", "get-trail-status", "--name", samples.TRAIL_ARN, "--region", "us-east-1"]


def test_a_local_copy_is_asked_about_by_its_paths() -> None:
    sample = report([chain()], [finding(rules.LOG_EXTRA, log_key(5), hours=(5, 6), bucket="")])
    request = replace(sample.request, source="file:///evidence/my%20copy", trail_arn=None)
    steps = advice(replace(sample, request=request))
    (proof,) = commands(steps)
    assert proof[:3] == ["ctvalidate", "file", f"/evidence/my copy/{log_key(5)}"]
    assert proof[3:] == ["--key", log_key(5), "--source", "/evidence/my copy"]
    assert steps[-1].command is None  # which bucket it is a copy of is not known


@pytest.mark.parametrize("key", [*HOSTILE_KEYS, "-rf", "file:///etc/passwd", "https://attacker.example/x", ""])
def test_what_the_shell_or_a_program_would_misread_is_in_no_command(key: str) -> None:
    sample = report([chain()], [finding(rules.LOG_ALTERED, key, hours=(5, 6)), finding(rules.LOG_EXTRA, key)])
    for incident in group(sample):
        steps = Advisor(sample).steps(sample.findings[incident.lead], incident.when)
        assert steps
        for step in steps:
            for word in shlex.split(step.command or ""):
                assert not word.startswith(("file:", "https:", "-rf"))
            assert step.command is None or step.command.isprintable()


@pytest.mark.parametrize("cause", list(Cause))
def test_a_reason_for_not_reading_has_its_own_steps(cause: Cause) -> None:
    sample = report([chain()], [finding(rules.LOG_UNREADABLE, log_key(5), hours=(5, 6), cause=cause)])
    words = [word for command in commands(advice(sample)) for word in command]
    expected = {Cause.ARCHIVED: "restore-object", Cause.KMS_DENIED: "head-object", Cause.ACCESS_DENIED: "head-object"}
    assert expected[cause] in words if cause in expected else words == []
