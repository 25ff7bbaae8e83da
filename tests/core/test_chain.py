"""Single facts about chains: proofs that a successor brings, absent chains, and whether a tail was cut."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import (
    DigestState,
    JudgeInput,
    Link,
    Tail,
    absent,
    judge,
    judge_tail,
    tail_is_cut,
)
from cloudtrail_validate.core.digest import SignatureStatus
from cloudtrail_validate.core.model import HOUR, Counts, Gap, Interval, Kind, Locator, Status
from cloudtrail_validate.simulate.digests import SignedDigest

from .helpers import (
    CHAIN,
    START,
    edited,
    evidence_of,
    fetch,
    known,
    look,
    make,
    packed,
    prove,
    public,
    rules_of,
    signer,
    where,
)

END = START + HOUR
WINDOW = Interval(START, START + 6 * HOUR)
MINUTE = timedelta(minutes=1)


def row(length: int) -> list[SignedDigest]:
    """A starting digest and its successors."""
    out = [make(START)]
    for number in range(1, length):
        out.append(make(START + number * HOUR, previous=out[-1]))
    return out


# -- proof by successors ----------------------------------------------------------------------------------------------


def test_proof_runs_along_the_chain_through_digests_without_signatures() -> None:
    digests = row(6)
    copied = [look(fetch(digest, metadata=None))[0] for digest in digests[:-1]]
    links, findings = prove((*copied, evidence_of(digests[-1])), known())
    assert {item.own for item in copied} == {SignatureStatus.ABSENT}
    assert [link.state for link in links] == [DigestState.PROVEN] * 6
    assert findings == ()


def test_a_successors_copy_of_the_signature_proves_what_its_own_content_does_not() -> None:
    """The newest has no signature and no successor, yet the signature that it quotes is CloudTrail's own."""
    older, newest = (look(fetch(digest, metadata=None))[0] for digest in row(2))
    links, findings = prove((older, newest), known())
    assert [link.state for link in links] == [DigestState.PROVEN, DigestState.UNREADABLE]
    assert [(item.rule, item.status, item.where) for item in findings] == [
        (rules.DIGEST_SIGNATURE_MISSING, Status.UNVERIFIABLE, newest.where)
    ]


def test_a_hash_in_a_digest_that_is_not_proven_proves_nothing() -> None:
    """Someone edits a digest and names its hash in the next one, which he edits as well."""
    first, second, third = row(3)
    forged = look(fetch(second, body=packed(edited(second, awsAccountId="444455556666"))))[0]
    body = packed(edited(third, previousDigestHashValue=forged.sha256))
    last = look(fetch(third, body=body))[0]
    links, findings = prove((evidence_of(first), forged, last), known())
    assert [link.state for link in links] == [DigestState.PROVEN, DigestState.UNPROVEN, DigestState.UNPROVEN]
    assert sorted(rules_of(findings)) == [rules.DIGEST_SIGNATURE_INVALID] * 2


def test_an_unusable_digest_is_proven_by_nothing() -> None:
    first, second = row(2)
    cut = look(fetch(first, body=packed(first.content)[:-4]))[0]
    links, _ = prove((cut, evidence_of(second)), known())
    assert [link.state for link in links] == [DigestState.UNPROVEN, DigestState.PROVEN]


def test_a_digest_with_an_unknown_key_is_proven_by_its_successor_and_still_found() -> None:
    first = make(START, key=signer(1))
    second = make(END, previous=first)
    links, (finding,) = prove((evidence_of(first), evidence_of(second)), known())
    assert [link.state for link in links] == [DigestState.PROVEN, DigestState.PROVEN]
    assert (finding.rule, links[0].status) == (rules.DIGEST_KEY_UNKNOWN, Status.UNVERIFIABLE)


def test_a_broken_link_tells_what_the_successor_knew() -> None:
    first, second = row(2)
    other = look(fetch(first, body=packed(edited(first, awsAccountId="444455556666")), metadata=None))[0]
    _, (finding,) = prove((other, evidence_of(second)), known())
    assert (finding.rule, finding.where) == (rules.DIGEST_LINK_BROKEN, where(first))
    assert (finding.expected, finding.actual) == (second.record["previousDigestHashValue"], other.sha256)


def test_a_broken_link_of_signatures_alone() -> None:
    first, second = row(2)
    other = replace(evidence_of(first), signature="00" * 256)
    _, (finding,) = prove((other, evidence_of(second)), known())
    assert (finding.rule, finding.expected, finding.actual) == (
        rules.DIGEST_LINK_BROKEN,
        first.signature,
        "00" * 256,
    )


def test_hex_in_upper_case_breaks_no_link() -> None:
    first, second = row(2)
    shouting = look(fetch(first, metadata=first.metadata | {"signature": first.signature.upper()}))[0]
    assert prove((shouting, evidence_of(second)), known())[1] == ()


@pytest.mark.parametrize("year", ["1990", "2999"])
def test_an_edit_of_the_times_leaves_its_finding_in_the_window(year: str) -> None:
    """It would otherwise take itself out of the window, and leave no more than an uncovered hour."""
    digests = row(4)
    times = {"digestStartTime": f"{year}-01-01T00:00:00Z", "digestEndTime": f"{year}-01-01T01:00:00Z"}
    moved = look(fetch(digests[2], body=packed(edited(digests[2], **times))))[0]
    links, found = prove((*map(evidence_of, (digests[0], digests[1], digests[3])), moved), known())
    assert rules_of(found) == [rules.DIGEST_SIGNATURE_INVALID]
    assert [link.concerns(Interval(END, END + HOUR)) for link in links] == [False, False, True, False]
    judgement = judge(CHAIN, links, JudgeInput(Interval(START, START + 3 * HOUR), START + 3 * HOUR))
    assert judgement.counts == Counts(valid=2, altered=1)
    assert judgement.lost == (Interval(END, END + HOUR),)
    assert judgement.gaps == (Gap(rules.GAP_BROKEN, Interval(END, END + HOUR)),)


def test_a_proven_digest_counts_for_the_hours_it_names() -> None:
    short = make(END, start=END - 17 * MINUTE)
    (link,) = prove([evidence_of(short)], known())[0]
    assert link.interval == Interval(END - 17 * MINUTE, END)


# -- judgement --------------------------------------------------------------------------------------------------------


def test_no_links_make_an_unexplained_window_a_tail() -> None:
    judgement = judge(CHAIN, [], JudgeInput(WINDOW, WINDOW.end))
    assert judgement.gaps == (Gap(rules.GAP_TAIL, WINDOW),)
    assert (judgement.newest, judgement.covered, judgement.counts.total) == (None, (), 0)


@pytest.mark.parametrize(("late", "gaps"), [(119, 0), (120, 0), (121, 1)])
def test_the_tail_is_pending_for_two_hours(late: int, gaps: int) -> None:
    (link,) = prove([evidence_of(row(2)[1])], known())[0]
    judgement = judge(CHAIN, [link], JudgeInput(WINDOW, END + late * MINUTE))
    assert len(judgement.gaps) == gaps
    assert all(gap == Gap(rules.GAP_TAIL, Interval(END, END + late * MINUTE)) for gap in judgement.gaps)


def test_the_future_is_no_gap() -> None:
    question = JudgeInput(Interval(START, START + 1000 * HOUR), END)
    assert question.counted == Interval(START, END)
    (link,) = prove([evidence_of(row(2)[1])], known())[0]
    assert judge(CHAIN, [link], question).gaps == ()
    assert JudgeInput(Interval(END, END + HOUR), START).counted == Interval(END, END)


STARTING = make(START + 3 * HOUR)
FOLLOWING = make(START + 3 * HOUR, previous=make(START - 5 * HOUR))


@pytest.mark.parametrize(
    ("digests", "earlier", "rule"),
    [
        ([STARTING], False, rules.GAP_LATE_START),
        ([STARTING], True, rules.GAP_RESTART),
        ([make(START), STARTING], False, rules.GAP_RESTART),
        ([make(START - 9 * HOUR), STARTING], False, rules.GAP_RESTART),
        ([FOLLOWING], False, rules.GAP_BROKEN),
        # It says that another one was before it, and that one is there: still somebody's hours are lost between them.
        ([make(START - 5 * HOUR), FOLLOWING], False, rules.GAP_BROKEN),
        ([make(START)], False, rules.GAP_TAIL),
        ([make(START)], True, rules.GAP_TAIL),
    ],
)
def test_hours_without_a_lost_digest_are_named_by_what_follows(
    digests: list[SignedDigest], earlier: bool, rule: str
) -> None:
    window = Interval(START, START + 2 * HOUR)
    links, _ = prove(map(evidence_of, digests), known())
    judgement = judge(CHAIN, links, JudgeInput(window, START + 99 * HOUR, earlier))
    assert judgement.gaps == (Gap(rule, window),)
    (finding,) = judgement.findings
    assert (finding.rule, finding.status, finding.interval) == (rule, Status.UNCOVERED, window)


def test_hours_up_to_a_lost_digest_are_broken_and_the_rest_a_restart() -> None:
    links, _ = prove([evidence_of(STARTING)], known())
    lost = Link(Locator("b", "lost"), Interval(START, END), DigestState.MISSING)
    judgement = judge(CHAIN, [*links, lost], JudgeInput(Interval(START - HOUR, WINDOW.end), START + 3 * HOUR))
    assert judgement.gaps == (
        Gap(rules.GAP_BROKEN, Interval(START - HOUR, END)),
        Gap(rules.GAP_RESTART, Interval(END, START + 3 * HOUR)),
    )
    assert judgement.lost == (lost.interval,)


@pytest.mark.parametrize(
    ("led_to", "orphans"),
    [(0, ["o"]), (60, ["o"]), (61, [])],
)
def test_an_orphan_is_led_past(led_to: int, orphans: list[str]) -> None:
    """The next digest leads to one that ended no later."""

    def link(name: str, end: int, previous: str | None) -> Link:
        before = Locator("b", previous) if previous else None
        interval = Interval(START + (end - 60) * MINUTE, START + end * MINUTE)
        return Link(Locator("b", name), interval, DigestState.PROVEN, previous is None, before)

    links = [link("o", 60, None), link("a", led_to, None), link("next", 120, "a")]
    found = judge(CHAIN, links, JudgeInput(WINDOW, WINDOW.end)).findings
    assert [item.where and item.where.key for item in found if item.rule == rules.DIGEST_UNLINKED] == orphans


def test_a_backfill_chain_has_no_gaps() -> None:
    backfill = replace(CHAIN, kind=Kind.BACKFILL)
    judgement = judge(backfill, [], JudgeInput(WINDOW, WINDOW.end + 100 * HOUR))
    assert (judgement.gaps, judgement.findings) == ((), ())


def test_an_absent_chain_is_one_gap() -> None:
    judgement = absent(CHAIN, WINDOW)
    (finding,) = judgement.findings
    assert judgement.gaps == (Gap(rules.CHAIN_ABSENT, WINDOW),)
    assert (finding.rule, finding.status, finding.where, finding.interval) == (
        rules.CHAIN_ABSENT,
        Status.UNCOVERED,
        None,
        WINDOW,
    )


def test_an_absent_chain_of_which_a_digest_was_delivered_misses_it() -> None:
    lost = Link(where(make(END)), Interval(START, END), DigestState.MISSING)
    judgement = absent(CHAIN, WINDOW, lost)
    assert judgement.counts == Counts(missing=1)
    assert rules_of(judgement.findings) == [rules.DIGEST_MISSING, rules.CHAIN_ABSENT]
    assert (judgement.findings[0].where, judgement.findings[0].status) == (lost.where, Status.MISSING)


def test_a_link_without_time_concerns_the_window_that_holds_its_instant() -> None:
    def at(moment: datetime) -> bool:
        return Link(Locator("b", "k"), Interval(moment, moment), DigestState.PROVEN).concerns(WINDOW)

    moments = (START - MINUTE, START, START + MINUTE, WINDOW.end - MINUTE, WINDOW.end)
    assert [at(moment) for moment in moments] == [False, True, True, True, False]


def test_keys_of_the_wrong_region_prove_nothing() -> None:
    digests = row(2)
    keys = known(public(signer(1)))
    links, findings = prove((evidence_of(digest, keys) for digest in digests), keys)
    assert {link.state for link in links} == {DigestState.UNREADABLE}
    assert rules_of(findings) == [rules.DIGEST_KEY_UNKNOWN] * 2


# -- tails ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modified", "delivered", "tail"),
    [
        # Too early for the digest that follows: whatever was delivered, it was not that one.
        (28, 28, Tail.WHOLE),
        (28, 33.1, Tail.WHOLE),
        (28, 74.9, Tail.WHOLE),
        (-30, 6, Tail.WHOLE),
        (5000, 74.9, Tail.WHOLE),
        (None, 74.9, Tail.WHOLE),
        # A delivery later than ever seen, and it is the one that lies there.
        (100, 100, Tail.WHOLE),
        (300, 304, Tail.WHOLE),
        (304, 300, Tail.WHOLE),
        # What is there had been written before.
        (28, 75, Tail.CUT),
        (28, 88, Tail.CUT),
        (69, 75, Tail.CUT),
        (-30, 88, Tail.CUT),
        # A copy of the bucket, written later than any delivery, or no time of writing: a late delivery explains it.
        (5000, 75, Tail.DOUBTFUL),
        (94, 88, Tail.DOUBTFUL),
        (None, 75, Tail.DOUBTFUL),
        (None, 5000, Tail.DOUBTFUL),
    ],
)
def test_what_a_time_of_delivery_tells_of_a_tail(modified: float | None, delivered: float, tail: Tail) -> None:
    written = None if modified is None else END + modified * MINUTE
    assert judge_tail(END, written, END + delivered * MINUTE) is tail
    assert tail_is_cut(END, written, END + delivered * MINUTE) is (tail is Tail.CUT)


@pytest.mark.parametrize(("doubtful", "gaps"), [(False, []), (True, [Gap(rules.GAP_TAIL, Interval(END, END + HOUR))])])
def test_a_doubtful_tail_is_not_merely_pending(doubtful: bool, gaps: list[Gap]) -> None:
    (link,) = prove([evidence_of(row(2)[1])], known())[0]
    question = JudgeInput(WINDOW, END + HOUR, doubtful=doubtful)
    assert list(judge(CHAIN, [link], question).gaps) == gaps
