"""Chains drawn at random: whatever came of their digests, the answer is the naive walk's."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import (
    DigestState,
    JudgeInput,
    Judgement,
    Link,
    judge,
)
from cloudtrail_validate.core.coverage import TAIL, Span
from cloudtrail_validate.core.digest import Evidence
from cloudtrail_validate.core.layout import parse_digest_key
from cloudtrail_validate.core.model import HOUR, Finding, Interval, Kind

from .helpers import CHAIN, FOLDER, known, prove
from .histories import UNIT, History, histories
from .naive import Naive


def whole(history: History) -> list[Evidence]:
    return [item.evidence for item in history.items]


def with_missing(links: tuple[Link, ...]) -> list[Link]:
    """The links, and one for each predecessor that a proven digest names and nobody found (what the walk does)."""
    present = {link.where for link in links}
    out = list(links)
    for link in links:
        if link.state is DigestState.PROVEN and link.previous and link.previous not in present:
            name = parse_digest_key(FOLDER, link.previous.key)
            assert name is not None
            present.add(link.previous)
            out.append(Link(link.previous, Interval(name.end - HOUR, name.end), DigestState.MISSING))
    return out


def answer(history: History, kind: Kind = Kind.STANDARD) -> tuple[Judgement, list[Finding]]:
    """Judgement and all findings of the window, as the engine puts them together."""
    links, found = prove(whole(history), known())
    places = {link.where for link in links if link.concerns(history.window)}
    question = JudgeInput(history.window, history.now, history.earlier)
    judgement = judge(replace(CHAIN, kind=kind), with_missing(links), question)
    return judgement, [*(item for item in found if item.where in places), *judgement.findings]


def in_units(spans: Span) -> set[datetime]:
    out = set()
    for span in spans:
        moment = span.start
        while moment < span.end:
            out.add(moment)
            moment += UNIT
    return out


@given(histories(), st.sampled_from(Kind))
def test_the_answer_is_the_naive_walks(history: History, kind: Kind) -> None:
    naive = Naive(history)
    judgement, found = answer(history, kind)
    standard = kind is Kind.STANDARD
    of_objects = Counter((item.rule, str(item.status), item.where) for item in found if item.where)
    assert of_objects == naive.object_findings(standard=standard)
    named = [item for item in found if not item.where]
    assert [(item.rule, *(item.interval or ())) for item in named] == (naive.gaps() if standard else [])
    assert {str(item.status) for item in named} <= {"uncovered"}
    assert [(gap.rule, *gap.interval) for gap in judgement.gaps] == (naive.gaps() if standard else [])
    assert +Counter(vars_of(judgement)) == naive.counts()


@given(histories())
def test_the_hours_are_the_naive_walks(history: History) -> None:
    naive = Naive(history)
    judgement, _ = answer(history)
    limit = min(history.window.end, history.now)
    assert {unit for unit in in_units(judgement.covered) if unit < limit} == set(filter(naive.covered, naive.units()))
    assert all(history.window.start <= span.start < span.end <= history.window.end for span in judgement.covered)
    assert in_units(judgement.lost) == in_units(tuple(Interval(*span) for span in naive.of("unproven", "missing")))
    assert in_units(judgement.unreadable) == in_units(tuple(Interval(*span) for span in naive.of("unreadable")))
    assert judgement.newest == max((span[1] for span in naive.of("proven")), default=None)


def vars_of(judgement: Judgement) -> dict[str, int]:
    counts = judgement.counts
    return {name: getattr(counts, name) for name in ("valid", "altered", "missing", "extra", "unverifiable")}


@given(histories())
def test_every_hour_of_the_window_is_covered_or_in_a_gap_or_pending(history: History) -> None:
    judgement, _ = answer(history)
    gaps = [gap.interval for gap in judgement.gaps]
    covered, uncovered = in_units(judgement.covered), in_units(tuple(gaps))
    assert not covered & uncovered
    assert sum(map(len, map(in_units, ((gap,) for gap in gaps)))) == len(uncovered)
    rest = set(Naive(history).units()) - covered - uncovered
    if rest:  # what may still be delivered: at the window's end, and no longer than delivery explains
        limit = min(history.window.end, history.now)
        assert rest == in_units((Interval(min(rest), limit),))
        assert history.now - min(rest) <= TAIL


@given(histories(), st.data())
def test_judgement_does_not_depend_on_the_order_of_links(history: History, data: st.DataObject) -> None:
    links = with_missing(prove(whole(history), known())[0])
    question = JudgeInput(history.window, history.now, history.earlier)
    assert judge(CHAIN, data.draw(st.permutations(links)), question) == judge(CHAIN, links, question)


def test_the_histories_bring_about_every_rule_of_digests_and_hours() -> None:
    """Else the comparison above would hold of things that never happen."""
    seen: Counter[str] = Counter()

    @settings(max_examples=500, phases=[Phase.generate], derandomize=True, database=None)
    @given(histories())
    def gather(history: History) -> None:
        seen.update({item.rule for item in answer(history)[1]})

    gather()
    assert {*seen} == {rule for rule in rules.TRAIL_RULES if not rule.startswith("log-")} - {
        rules.CHAIN_ABSENT,
        rules.HISTORY_REWRITTEN,
    }
