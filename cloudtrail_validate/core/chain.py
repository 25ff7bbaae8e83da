"""Digest chains: proofs that run along them, and what their shape says about the window.

A digest's content has two independent proofs: its own signature, and the hash that a proven successor holds of it. Proof
therefore runs from the newest digest to the oldest (`Prover`); time runs the other way (`judge`). Judgement happens once, on
the whole chain: whether a digest is an orphan, or its predecessor missing, cannot be said at a seam. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise
from operator import attrgetter
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.coverage import TAIL, Span, subtract, union
from cloudtrail_validate.core.digest import Claim, Evidence, SignatureStatus, proves
from cloudtrail_validate.core.model import EPOCH, HOUR, ChainId, Counts, Finding, Gap, Interval, Kind, Locator, Status
from cloudtrail_validate.core.signature import RegionKeys

_SEVERITY: Final = (Status.ALTERED, Status.MISSING, Status.UNVERIFIABLE)
_CONTENT_CHECKED: Final = frozenset({SignatureStatus.VALID, SignatureStatus.ABSENT, SignatureStatus.NO_KEY})


class DigestState(Enum):
    """Names the four ends that reading and proving a digest may have."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    UNREADABLE = "unreadable"
    MISSING = "missing"


class Link(msgspec.Struct, frozen=True):
    """A digest's place in its chain, once it is known whether it is proven: ~300 bytes, kept for the whole window."""

    where: Locator
    interval: Interval
    state: DigestState
    starting: bool = False
    previous: Locator | None = None
    status: Status | None = None
    claimed: str | None = None  # of a missing digest: the SHA-256 that its proven successor holds of it
    logs: int = 0  # that it names

    @property
    def covers(self) -> Interval:
        """Return the hours for which the digest answers.

        These are its own, or none from its end on (CONTRACT: "What proves an hour").

        A starting digest that names no logs bears the hour *before* logging began, and proves nothing about it.
        """
        silent = self.starting and not self.logs
        return Interval(self.interval.end, self.interval.end) if silent else self.interval

    def concerns(self, window: Interval) -> bool:
        """Tell whether the digest overlaps the window, an empty interval counting as its instant."""
        return self.interval.overlaps(window) or (window.contains(self.interval.start) and not self.interval.seconds)


class Prover:
    """Carries proof along a chain. Feed it every digest once, newest first.

    `fingerprints` are those of the keys that proved a signature, a digest's own or one that its successor quotes.
    """

    def __init__(self, keys: RegionKeys) -> None:
        self._keys = keys
        self.fingerprints: set[str] = set()
        self._claims: dict[Locator, list[tuple[Claim, bool]]] = {}

    def missing(self, where: Locator, interval: Interval) -> Link:
        """Return the link of a digest that is not there, with what a proven successor knew of it."""
        claims = self._claims.pop(where, [])
        claimed = next((claim.sha256.lower() for claim, proven in claims if proven), None)
        return Link(where, interval, DigestState.MISSING, claimed=claimed)

    def step(self, evidence: Evidence) -> tuple[Link, tuple[Finding, ...]]:
        """Decide whether this digest is proven, by itself or by what proven successors say of it."""
        claims = self._claims.pop(evidence.where, [])
        trusted = [claim for claim, proven in claims if proven]
        proven = evidence.own is SignatureStatus.VALID
        if not proven and evidence.own is not SignatureStatus.UNUSABLE:
            by_hash = any(claim.sha256.lower() == evidence.sha256 for claim in trusted)
            quoted = not by_hash and any(proves(evidence, claim.signature, self._keys) for claim, _ in claims)
            proven = by_hash or quoted
            if quoted:
                self.fingerprints.add(evidence.fingerprint)
        elif proven:
            self.fingerprints.add(evidence.fingerprint)
        findings = list(evidence.findings)
        broken = next((claim for claim in trusted if _contradicts(claim, evidence)), None)
        if broken is not None:
            findings.append(_link_broken(evidence, broken))
        if evidence.own is SignatureStatus.ABSENT and not proven and not findings:
            findings.append(_about(rules.DIGEST_SIGNATURE_MISSING, Status.UNVERIFIABLE, evidence))
        if evidence.previous is not None:
            self._claims.setdefault(evidence.previous.where, []).append((evidence.previous, proven))
        status = next((s for s in _SEVERITY if any(finding.status is s for finding in findings)), None)
        state = (
            DigestState.PROVEN
            if proven
            else DigestState.UNREADABLE
            if status is Status.UNVERIFIABLE
            else DigestState.UNPROVEN
        )
        previous = evidence.previous.where if evidence.previous else None
        interval = evidence.says if proven and evidence.says else evidence.interval
        link = Link(evidence.where, interval, state, evidence.starting, previous, status, logs=evidence.logs)
        return link, tuple(findings)


class Judgement(msgspec.Struct, frozen=True):
    """Judges a chain's hours of the window. `lost` and `unreadable` are the hours of digests that prove nothing."""

    counts: Counts
    covered: Span
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]
    newest: datetime | None
    lost: Span = ()
    unreadable: Span = ()


class JudgeInput(msgspec.Struct, frozen=True):
    """Asks about one chain: the window, the time of asking, and whether the folder lists still older digests.

    `before` is the end of the newest of these that is listed, None where that lies further back. `doubtful` is set where
    CloudTrail tells of a delivery that the newest digest may not be (`Tail.DOUBTFUL`): then no tail is merely pending.
    """

    window: Interval
    now: datetime
    earlier: bool = False
    before: datetime | None = None
    doubtful: bool = False

    @property
    def counted(self) -> Interval:
        """Return the window up to now: the future cannot be covered."""
        return Interval(self.window.start, max(self.window.start, min(self.window.end, self.now)))


def judge(chain: ChainId, links: Iterable[Link], question: JudgeInput) -> Judgement:
    """Account for every hour of the window and every digest in it.

    `links` may hold digests around the window as context; only what overlaps the window is counted and reported.
    """
    ordered = sorted(links, key=lambda link: (link.interval.end, link.where))
    inside = [link for link in ordered if link.concerns(question.window)]
    counts = Counts.of(Status.MISSING if link.state is DigestState.MISSING else link.status for link in inside)
    findings = [_missing(chain, link) for link in inside if link.state is DigestState.MISSING]
    covered = union(link.covers.within(question.window) for link in inside if link.state is DigestState.PROVEN)
    orphans = _orphans(ordered)
    findings += [_notice(rules.DIGEST_UNLINKED, chain, link) for link in inside if link.where in orphans]
    gaps: list[Gap] = []
    if chain.kind is Kind.STANDARD:
        for hole in _holes(question.counted, covered, ordered):
            gaps += _explain(hole, ordered, question)
        gaps = _joined(gaps)
        findings += [_gap(chain, gap) for gap in gaps]
        findings += [
            _notice(rules.CHAIN_RESTART, chain, link)
            for link in inside
            if _restarts(link, ordered) and link.where not in orphans
        ]
    proven_ends = [link.interval.end for link in ordered if link.state is DigestState.PROVEN]
    return Judgement(
        counts,
        covered,
        tuple(gaps),
        tuple(findings),
        max(proven_ends, default=None),
        lost=union(link.interval for link in ordered if link.state in (DigestState.UNPROVEN, DigestState.MISSING)),
        unreadable=union(link.interval for link in ordered if link.state is DigestState.UNREADABLE),
    )


def absent(chain: ChainId, window: Interval, lost: Link | None = None, reason: str = "") -> Judgement:
    """Return the judgement on a chain that should be there and of which there is no digest at all.

    `lost` is a digest that is known to have been delivered all the same; `reason` says why there should be any.
    """
    gap = Gap(rules.CHAIN_ABSENT, window)
    missing = () if lost is None else (_missing(chain, lost),)
    finding = msgspec.structs.replace(_gap(chain, gap), detail=reason or None)
    return Judgement(Counts(missing=len(missing)), (), (gap,), (*missing, finding), None)


_DELIVERY_SLACK: Final = timedelta(minutes=5)  # LastModified against the delivery time that CloudTrail tells
_NEXT_DELIVERY: Final = timedelta(minutes=75)  # between 31 min (this digest's delivery) and 86 min (the next one's)


class Tail(Enum):
    """Names what GetTrailStatus' delivery time tells of the end of a chain."""

    WHOLE = "whole"  # the newest digest is the one that CloudTrail delivered last, as far as can be told
    DOUBTFUL = "doubtful"  # something was delivered that may be the newest digest, very late, or one that is gone
    CUT = "cut"  # a digest was delivered after the newest one had been


def judge_tail(newest_end: datetime, newest_modified: datetime | None, delivered: datetime) -> Tail:
    """Compare the newest digest that is there with the time of CloudTrail's last delivery.

    `delivered` is GetTrailStatus.LatestDigestDeliveryTime, read before the listing. Digests arrive 26 to 31 minutes after
    their end, so the one that follows arrives at least 86 minutes after it. Nothing is promised, though: only a LastModified
    from before the delivery shows that this was another digest. One that agrees with it shows that it was this one; a later
    one may be a copy of the bucket and says nothing, like none at all.
    """
    if delivered < newest_end + _NEXT_DELIVERY:
        return Tail.WHOLE
    if newest_modified is None or newest_modified > delivered + _DELIVERY_SLACK:
        return Tail.DOUBTFUL
    return Tail.CUT if newest_modified < delivered - _DELIVERY_SLACK else Tail.WHOLE


def tail_is_cut(newest_end: datetime, newest_modified: datetime | None, delivered: datetime) -> bool:
    """Tell whether CloudTrail delivered a digest after the newest one that is in the bucket: see `judge_tail`."""
    return judge_tail(newest_end, newest_modified, delivered) is Tail.CUT


def _contradicts(claim: Claim, evidence: Evidence) -> bool:
    """Tell whether a proven successor knew another digest here. What is already known to be altered is not accused twice."""
    if evidence.own not in _CONTENT_CHECKED:
        return False
    other_signature = evidence.signature is not None and claim.signature.lower() != evidence.signature.lower()
    return claim.sha256.lower() != evidence.sha256 or other_signature


def _orphans(ordered: Sequence[Link]) -> frozenset[Locator]:
    """Return proven digests that no chain leads to although the chain goes on: the next digest leads past them.

    Where two chains overlap, the last digest of the older is none (it alone goes on from its predecessor), nor is the
    starting digest of the newer where its successor may be one that is lost, or that lies beyond what was read.
    """
    proven = [link for link in ordered if link.state is DigestState.PROVEN]
    named = Counter(link.previous for link in proven if link.previous is not None)
    ends = {link.where: link.interval.end for link in ordered}
    out = set()
    for link, following in pairwise(proven):
        if named[link.where] or following.previous is None or (link.previous and named[link.previous] == 1):
            continue
        led_to = ends.get(following.previous)
        if led_to is not None and led_to <= link.interval.end and not _may_go_on(link, ordered):
            out.add(link.where)
    return frozenset(out)


def _may_go_on(starting: Link, ordered: Sequence[Link]) -> bool:
    """Tell whether a starting digest that nothing leads to may still have a successor."""
    end = starting.interval.end
    if not starting.starting:
        return False
    read_on = any(link.state is DigestState.PROVEN and link.interval.end >= end + HOUR for link in ordered)
    lost = any(link.state is not DigestState.PROVEN and link.interval.start == end for link in ordered)
    return lost or not read_on


def _restarts(link: Link, ordered: Sequence[Link]) -> bool:
    """Tell whether a starting digest takes over from an older chain with no hour lost: that one still ran when it began."""
    if not link.starting or link.state is not DigestState.PROVEN:
        return False
    begins = link.covers.start
    return any(other.covers.start < begins <= other.covers.end for other in ordered if other.where != link.where)


def _holes(counted: Interval, covered: Span, ordered: Iterable[Link]) -> list[Interval]:
    """Return the hours that no proven digest covers, cut where a chain began: before and after, other rules explain them."""
    begun = sorted({link.covers.end for link in ordered if link.starting and link.state is DigestState.PROVEN})
    out: list[Interval] = []
    for hole in subtract(counted, covered):
        cuts = [hole.start, *(moment for moment in begun if hole.start < moment < hole.end), hole.end]
        out += [Interval(*pair) for pair in pairwise(cuts)]
    return out


def _joined(gaps: Iterable[Gap]) -> list[Gap]:
    """Return the same gaps, those that adjoin under one name as one."""
    out: list[Gap] = []
    for gap in gaps:
        if out and out[-1].rule == gap.rule and out[-1].interval.end == gap.interval.start:
            out[-1] = Gap(gap.rule, Interval(out[-1].interval.start, gap.interval.end))
        else:
            out.append(gap)
    return out


def _explain(hole: Interval, ordered: Sequence[Link], question: JudgeInput) -> list[Gap]:
    """Name the hours of one hole: up to the last digest known to be lost they are broken, the rest by what follows."""
    lost = [link for link in ordered if link.state is not DigestState.PROVEN and link.interval.overlaps(hole)]
    cut = min(hole.end, max((link.interval.end for link in lost), default=hole.start))
    before = question.earlier or bool(lost) or any(link.interval.end <= hole.start for link in ordered)
    proven = [link for link in ordered if link.state is DigestState.PROVEN]
    following = min(
        (link for link in proven if link.covers.start >= cut and link.covers.end >= hole.end),
        key=attrgetter("covers"),
        default=None,
    )
    rest = Interval(cut, hole.end)
    if following is None:
        rule = rules.GAP_TAIL
    elif not following.starting:
        rule = rules.GAP_BROKEN
    else:
        rule = rules.GAP_RESTART if before else rules.GAP_LATE_START
    if rule == rules.GAP_BROKEN:
        return [Gap(rule, hole)]
    gaps = [Gap(rules.GAP_BROKEN, Interval(hole.start, cut))] if cut > hole.start else []
    since = rest.start  # the end of the newest digest
    if since == question.window.start:
        ended = [link.interval.end for link in proven if link.interval.end <= since]
        ended += [question.before or EPOCH] if question.earlier else []
        since = max(ended, default=since)
    pending = rule == rules.GAP_TAIL and question.now - since <= TAIL and not question.doubtful
    if rest.start < rest.end and not pending:
        gaps.append(Gap(rule, rest))
    return gaps


def _about(
    rule: str, status: Status, evidence: Evidence, expected: str | None = None, actual: str | None = None
) -> Finding:
    chain = evidence.chain
    return Finding(
        rule,
        status,
        chain.account,
        chain.region,
        chain.trail or None,
        evidence.where,
        evidence.interval,
        expected=expected,
        actual=actual,
    )


def _link_broken(evidence: Evidence, claim: Claim) -> Finding:
    if claim.sha256.lower() != evidence.sha256:
        expected, actual = claim.sha256.lower(), evidence.sha256
    else:
        expected, actual = claim.signature, evidence.signature or ""
    return _about(rules.DIGEST_LINK_BROKEN, Status.ALTERED, evidence, expected, actual)


def _of_chain(
    rule: str, status: Status, chain: ChainId, where: Locator | None, interval: Interval, expected: str | None = None
) -> Finding:
    return Finding(rule, status, chain.account, chain.region, chain.trail or None, where, interval, expected=expected)


def _missing(chain: ChainId, link: Link) -> Finding:
    return _of_chain(rules.DIGEST_MISSING, Status.MISSING, chain, link.where, link.interval, link.claimed)


def _notice(rule: str, chain: ChainId, link: Link) -> Finding:
    return _of_chain(rule, Status.NOTICE, chain, link.where, link.interval)


def _gap(chain: ChainId, gap: Gap) -> Finding:
    return _of_chain(gap.rule, Status.UNCOVERED, chain, None, gap.interval)
