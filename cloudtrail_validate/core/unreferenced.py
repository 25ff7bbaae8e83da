"""Judge log files that no digest names: extra, undigested or pending (CONTRACT: "An accusation of extra is earned").

Two questions, asked in this order, by `validate`, `file` and `snapshot` alike. Neither looks at the window that was asked
for, so that all three give one answer:

1. `question` tells which digests could name a file, and so must be read before anybody is accused. The shell lists the
   digest folders of the account-region over `Question.days`, reads what `to_read` returns until that is empty, and drops
   the files that a proven digest names.
2. `judge` decides what the rest is, from what was proven about every trail that writes into the file's folder (`writers`).

Where a hypothesis would pardon the file and could be true, it is not accused; what an edit of the bucket alone brings about
(an object under an invented trail's digest name) pardons nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.chain import DigestState, Link
from cloudtrail_validate.core.coverage import NAME_SLACK, TAIL, Span, covers, difference, touches, union
from cloudtrail_validate.core.layout import (
    Folder,
    deliverable,
    folder_day,
    folder_of,
    is_log_key,
    log_minute,
    plausible,
)
from cloudtrail_validate.core.model import HOUR, ChainId, Interval, Kind, Locator

REACH: Final = timedelta(
    days=35
)  # CloudTrail retries a misconfigured bucket for up to 30 days (FORMAT: Backfill digests)
DELIVERY_SLACK: Final = timedelta(
    minutes=1
)  # a log delivered within seconds of an hour's end is named by either neighbour
_MINUTE: Final = timedelta(minutes=1)


class UnreferencedFile(msgspec.Struct, frozen=True):
    """A file below a log folder that no digest read so far names, and what its place tells of its time.

    `folder` is None for a file beside the region folders. `minute` is the minute in its name, None where that is no log's
    name, `to_come` whether that lies in the future; `proper` whether CloudTrail could have written a log under that key.
    `modified` is LastModified, None where it is no evidence of a delivery (a local copy, `--copy-of`, `is_copy`). `day` is
    the day of its date folder, None outside of any.
    """

    where: Locator
    folder: Folder | None = None
    minute: datetime | None = None
    modified: datetime | None = None
    day: Interval | None = None
    proper: bool = True
    to_come: bool = False

    @property
    def delivered(self) -> datetime | None:
        """Return LastModified as the time of delivery; None where no log of that name can have been delivered so late.

        Replication, restores, batch copies and re-encryption give old objects a new LastModified (FORMAT: Keys of the
        signature).
        """
        too_late = self.modified is not None and self.minute is not None and self.modified > self.minute + REACH
        return None if too_late else self.modified

    @property
    def late(self) -> bool:
        """Tell whether it was written later than its name explains: it came late, or was written again."""
        return self.minute is not None and self.modified is not None and self.modified - self.minute > NAME_SLACK

    @property
    def spans(self) -> Span:
        """Return the times at which it may have been delivered.

        That is about its name's minute, about LastModified, or on its folder's day.

        The day counts where the name tells nothing, or contradicts the folder. Empty where nothing places it in time.
        """
        spans: list[Interval] = []
        if self.minute is not None:
            spans.append(Interval(self.minute - NAME_SLACK, self.minute + _MINUTE + NAME_SLACK))
        if self.delivered is not None:
            spans.append(Interval(self.delivered - DELIVERY_SLACK, self.delivered + DELIVERY_SLACK))
        if self.day is not None and not self.proper:
            spans.append(self.day)
        return union(spans)

    def belongs(self, window: Interval) -> bool:
        """Tell whether a run over `window` reports it.

        By its name's minute, by LastModified, or by the day of its folder.

        What nothing places in time belongs to every window, and so does what is named for a time to come: the window of
        that name may be years off.
        """
        named = None if self.to_come else self.minute
        moments = [moment for moment in (named, self.modified) if moment is not None]
        if any(window.contains(moment) for moment in moments):
            return True
        if self.day is not None and not self.proper:
            return self.day.overlaps(window)
        return not moments and self.day is None


def unreferenced(
    where: Locator,
    modified: datetime | None,
    *,
    latest: datetime | None = None,
    dated: bool = True,
    path: str | None = None,
) -> UnreferencedFile:
    """Read a file's place.

    `latest` is the time of asking or, where a proven digest is newer, that digest's end (None: not known): nothing can have
    been delivered later. `dated`: whether LastModified of this store is evidence; `path`: the folder that it was listed in.
    """
    place, minute, day = folder_of(*where), log_minute(where.key), folder_day(where.key, path)
    return UnreferencedFile(
        where,
        place[0] if place else None,
        minute,
        plausible(modified) if dated else None,
        day if day and (latest is None or deliverable(day.start, latest)) else None,
        is_log_key(where.key),
        to_come=latest is not None and minute is not None and not deliverable(minute, latest),
    )


class Question(msgspec.Struct, frozen=True):
    """Describes the digests that could name some files, by the hours that these digests bear.

    `standard` and `backfill` are the hours of those to read. `near` are the hours that must be proven for an accusation; its
    digests of both kinds are among the others. `context` are the days in which a trail that bears a proven digest is known
    to write into the folder. All are empty where there is no file.
    """

    near: Span = ()
    standard: Span = ()
    backfill: Span = ()
    context: Span = ()

    def wants(self, kind: Kind, end: datetime) -> bool:
        """Tell whether a digest of that kind whose key is stamped `end` could name one of the files."""
        hours = self.standard if kind is Kind.STANDARD else self.backfill
        return touches(hours, Interval(end - HOUR, end)) or touches(hours, Interval(end, end))

    @property
    def days(self) -> Interval | None:
        """Return the days whose digests are to be listed, as one interval; None where there is nothing to ask."""
        return Interval(self.context[0].start, self.context[-1].end) if self.context else None


def question(files: Iterable[UnreferencedFile]) -> Question:
    """Ask for the digests that could name any of these files.

    These are the digests of the name's hour and of the delivery's, and the backfill digests of both and of the 35 days
    after. Before there were backfill digests a late log was named by the digest of the hour in which it came: where
    LastModified may not be that time (there is none, or it is later than the name explains), all digests from the name's
    hour up to LastModified, 35 days at most.
    """
    near: list[Interval] = []
    standard: list[Interval] = []
    for file in files:
        near += file.spans
        standard += file.spans
        if file.minute is not None:
            latest = file.minute + REACH
            known = file.modified is not None and file.modified >= file.minute - NAME_SLACK  # else it is no delivery's
            until = min(file.modified, latest) if known and file.modified else latest
            standard.append(Interval(file.minute, until))
    return Question(
        union(near),
        union(standard),
        union(Interval(span.start, span.end + REACH) for span in near),
        union(Interval(span.start - REACH, span.end + REACH) for span in near),
    )


class ListedDigest(msgspec.Struct, frozen=True, order=True):
    """A digest as its listing tells it: end time from its key, place, LastModified."""

    end: datetime
    where: Locator
    modified: datetime | None = None


def to_read(
    asked: Question, kind: Kind, listed: Iterable[ListedDigest], states: Mapping[Locator, DigestState]
) -> tuple[ListedDigest, ...]:
    """Return the digests of one chain to read next, given what became of those that were read; none when all is known.

    First those that could name a file; then, for each that is not proven, its successors one by one until a proven one has
    been read (decoys between the two do not stop that); then, in each folder where nothing of the chain is proven, those
    nearest to the question, until one is: only a proven digest shows that a trail writes into its folder.
    """
    ordered = sorted(listed)
    wanted = {item.where: item for item in ordered if asked.wants(kind, item.end)}
    first = tuple(item for where, item in wanted.items() if where not in states)
    if first:
        return first
    witnesses: dict[Locator, ListedDigest] = {}
    successor: ListedDigest | None = None  # the next one to read, none where a proven one comes before it
    for item in reversed(ordered):
        state = states.get(item.where)
        if successor is not None and item.where in wanted and state is not DigestState.PROVEN:
            witnesses[successor.where] = successor
        if state is None or state is DigestState.PROVEN:
            successor = item if state is None else None
    if witnesses:
        return tuple(witnesses.values())
    if kind is Kind.BACKFILL:
        return ()
    shown = {folder_of(*item.where) for item in ordered if states.get(item.where) is DigestState.PROVEN}
    nearest: dict[object, ListedDigest] = {}
    for item in ordered:
        place = folder_of(*item.where)
        if place in shown or item.where in states or not touches(asked.context, _instant(item.end)):
            continue
        nearest[place] = min(nearest.get(place, item), item, key=lambda one: (_distance(asked, one.end), one))
    return tuple(nearest.values())


def is_copy(digests: Iterable[ListedDigest]) -> bool:
    """Tell whether all of these digests were written later than delivery explains.

    LastModified there places nothing in time.

    False where there is none, or a LastModified is not known. Ask it of a folder's proven digests in `Question.context`.
    """
    written = [item.modified is not None and item.modified > item.end + TAIL for item in digests]
    return bool(written) and all(written)


class Standing(Enum):
    """Names the answers a trail can give about logs delivered in some hours."""

    PROVEN = "proven"  # its digests name all of them
    DUE = "due"  # its digests of these hours are still to come
    UNKNOWN = "unknown"  # a gap, a restart, a late start, lost or unread digests


class Writer(msgspec.Struct, frozen=True):
    """A trail that is known to write into some folders, and the hours it can vouch for.

    `folders` are those of its digests, or of its logs where it has none; `proven` the hours that proven digests account for
    (`Link.covers`); `lost` the hours of digests that are or were there and prove nothing; `lost_backfill` the same of its
    backfill chain; `shown` the hours that its proven digests bear, of both kinds. A trail that is expected here and has no
    digest has nothing of these. `validated` is false for a trail without log file validation.
    """

    folders: tuple[Folder, ...]
    proven: Span = ()
    lost: Span = ()
    lost_backfill: Span = ()
    shown: Span = ()
    validated: bool = True

    def writes(self, folder: Folder | None) -> bool:
        """Tell whether its logs come into a folder (None: one that nobody knows). A local copy stands for every bucket."""
        return folder is None or any(
            (own.base, own.account, own.region) == (folder.base, folder.account, folder.region)
            and (own.bucket == folder.bucket or "" in (own.bucket, folder.bucket))
            for own in self.folders
        )

    def standing(self, span: Interval, now: datetime) -> Standing:
        """Return its answer about logs delivered in `span`, which touches one or more of its hours."""
        if covers(self.proven, span) and not touches(self.lost_backfill, span):
            return Standing.PROVEN
        ends = [hours[-1].end for hours in (self.proven, self.lost) if hours]
        newest = max(ends, default=None)
        if newest is None or not self.proven or now - newest > TAIL:
            return Standing.UNKNOWN
        open_ = difference((span,), self.proven) or (span,)
        return Standing.DUE if all(piece.start >= newest for piece in open_) else Standing.UNKNOWN


class Knowledge(msgspec.Struct, frozen=True):
    """Holds what files are judged by: every writer of the account-region's folders, and the time of asking.

    `unread` are the hours of digests, of either kind, that a passing trouble (network, throttling) kept from being read or
    listed. `claimed` are files that a digest names which could be read and neither proven nor refuted: a copy's newest
    digests without their signatures, an unknown key.
    """

    writers: tuple[Writer, ...]
    now: datetime
    unread: Span = ()
    claimed: frozenset[Locator] = frozenset()


def writers(links: Mapping[ChainId, Sequence[Link]]) -> tuple[Writer, ...]:
    """Return the trails that proven digests show to write here, from the links of every chain of an account-region.

    A standard chain and its backfill chain are one trail. Only a proven digest shows a trail: whatever lies under the digest
    names of an invented one pardons nothing.
    """
    trails: dict[tuple[str, str, str | None], dict[Kind, Sequence[Link]]] = {}
    for chain, held in links.items():
        trails.setdefault((chain.trail, chain.home_region, chain.organization_id), {})[chain.kind] = held
    out = []
    for _, kinds in sorted(trails.items(), key=lambda item: str(item[0])):
        standard, backfill = kinds.get(Kind.STANDARD, ()), kinds.get(Kind.BACKFILL, ())
        proven = [link for link in (*standard, *backfill) if link.state is DigestState.PROVEN]
        if not proven:
            continue
        folders = dict.fromkeys(place[0] for link in proven if (place := folder_of(*link.where)))
        covered = union(link.covers for link in standard if link.state is DigestState.PROVEN)
        # Two chains of a trail overlap where validation was switched off and on: what one of them proves is no answer for
        # a digest of the other that is known to have been there.
        known = {link.previous.key for link in proven if link.previous is not None}
        lost = _lost(link for link in standard if link.where.key in known or link.state is DigestState.MISSING)
        hours = difference(covered, lost)
        out.append(
            Writer(
                tuple(folders),
                hours,
                difference(_lost(standard), hours),
                _lost(backfill) if any(link.state is DigestState.PROVEN for link in backfill) else (),
                union(link.interval for link in proven),
            )
        )
    return tuple(out)


def judge(file: UnreferencedFile, known: Knowledge) -> str:
    """Return the rule for a file that no proven digest names: `log-extra`, `log-undigested` or `log-pending`.

    Of the writers that proven digests show, those count that show themselves in the file's context: else a run over a long
    window would know more of them than `file` does.
    """
    context = question((file,)).context
    here = [writer for writer in known.writers if writer.writes(file.folder) and _shows(writer, context)]
    validated = [writer for writer in here if writer.validated]
    found = _judge_log(file, validated, known) if file.proper else _judge_other(file, validated, known.now)
    if found == rules.LOG_EXTRA and len(validated) < len(here):
        return rules.LOG_UNDIGESTED
    return found


def _shows(writer: Writer, context: Span) -> bool:
    """Tell whether a writer counts for files of that context; where nothing places them in time, every writer does."""
    return not writer.shown or not context or any(touches(writer.shown, span) for span in context)


def _judge_log(file: UnreferencedFile, validated: Sequence[Writer], known: Knowledge) -> str:
    """Judge a file that CloudTrail could have written: whoever may have written it must have answered for its hours."""
    standing = {writer.standing(span, known.now) for writer in validated for span in file.spans}
    if not standing or Standing.UNKNOWN in standing:
        return rules.LOG_UNDIGESTED
    if Standing.DUE in standing:
        return rules.LOG_PENDING
    if file.late and file.delivered is not None and known.now - file.delivered <= TAIL:
        return rules.LOG_PENDING  # its backfill digest, or the digest that names it late, is still to come
    asked = question((file,))
    unheard = any(touches(known.unread, span) for span in (*asked.standard, *asked.backfill))
    return rules.LOG_UNDIGESTED if unheard or file.where in known.claimed else rules.LOG_EXTRA


def _judge_other(file: UnreferencedFile, validated: Sequence[Writer], now: datetime) -> str:
    """Judge a file that CloudTrail does not write: one instant in proven hours is enough."""
    proven = union(span for writer in validated for span in writer.proven)
    if proven and (not file.spans or any(touches(proven, span) for span in file.spans)):
        return rules.LOG_EXTRA
    standing = {writer.standing(span, now) for writer in validated for span in file.spans}
    return rules.LOG_PENDING if standing == {Standing.DUE} else rules.LOG_UNDIGESTED


def _lost(links: Iterable[Link]) -> Span:
    """Return the hours of digests that prove nothing."""
    return union(link.interval for link in links if link.state is not DigestState.PROVEN)


def _instant(moment: datetime) -> Interval:
    return Interval(moment, moment)


def _distance(asked: Question, end: datetime) -> timedelta:
    """Return how far a digest is from the hours that must be proven."""
    return min(
        (max(span.start - end, end - HOUR - span.end, timedelta(0)) for span in asked.near), default=timedelta(0)
    )
