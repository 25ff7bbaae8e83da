"""One verification of query results: list, read the sign files, ask for keys, hash the results, judge, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.findings import Findings, FindingSet, Progress, Watch
from cloudtrail_validate.core.lake import SIGN_FILE, Seen, SignFile, place_of, read_sign_file, statement_in
from cloudtrail_validate.core.lake_verdict import (
    Folder,
    FoundKey,
    Judge,
    Signed,
    judge_files,
    judge_place,
    judge_signature,
)
from cloudtrail_validate.core.model import Cause, Counts, Finding, Interval
from cloudtrail_validate.core.outcome import Reached
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.trouble import refused
from cloudtrail_validate.lake.keyring import Keyring
from cloudtrail_validate.lake.outcome import Outcome
from cloudtrail_validate.lake.question import LakeQuestion, Place
from cloudtrail_validate.lake.reading import MOST_UNLISTED, Files, Listing, folders
from cloudtrail_validate.lake.report import build, echo_of
from cloudtrail_validate.report import Report, RequestEcho, Run
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.runtime.loop import fit_descriptor_limit, in_daemon_thread, run_loop
from cloudtrail_validate.stores.key_file import FileKeys, KeySource, read_key_file

if TYPE_CHECKING:
    from cloudtrail_validate.aws.own_session import AnySession
    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.stores.protocol import Store

_REQUESTS: Final = 64  # in flight: most folders hold one small file and its sign file
_FOLDERS_AT_ONCE: Final = 32


class Stop:
    """Ends a run early: `stop` may be called from a signal handler of its loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def stop(self) -> None:
        """End the run as soon as possible."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the run is to end."""
        await self._event.wait()


KeysOf = Callable[[Interval], KeySource]
"""Gives the source of keys of some time."""


class Companion(Protocol):
    """Goes along with a verification: stands before the store and the keys, and is told what lies there."""

    def adapt(self, place: Place, store: Store, keys: KeysOf) -> tuple[Store, KeysOf]:
        """Return what the verification is to read through."""

    def listed(self, listings: Sequence[Listing]) -> None:
        """Take note of all that there is, before it is read."""

    async def conclude(self) -> None:
        """All is judged, and the store still open."""


class _Read(msgspec.Struct, frozen=True):
    """A folder whose sign file was read, or not: then `finding` says why."""

    listing: Listing
    folder: Folder
    sign: SignFile | None
    finding: Finding | None


def verify(
    question: LakeQuestion,
    *,
    session: AnySession | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
    companion: Companion | None = None,
    on_start: Callable[[Stop], None] | None = None,
) -> Report:
    """Verify all query results at or below a place, and return the report.

    `session` is who asks AWS, None for whom the question and the environment name; `progress` may be polled meanwhile.
    With a `companion` all is read that is listed. `on_start` is given what stops the run, on its loop: the report then is
    of what was done until then.
    Raises `RequestError`, `ConfigurationError` and `AccessError` as `api.validate`. What a folder holds raises nothing.
    """
    question.check()
    return run_loop(_verify(question, session, now or now_utc(), Watch(progress), companion, on_start))


async def verify_again(
    place: Place, store: Store, keys: KeySource, now: datetime, echo: RequestEcho, tolerated: frozenset[str]
) -> Report:
    """Put the question `echo` to a store that holds what an earlier verification read, and to the keys that it had."""
    begun = now_utc()
    work = _Work(place, Files(store, all_of_them=True), store, lambda _: keys, now, Watch())
    await work.run(None, timeless=True)
    ran = Run(started=begun.replace(microsecond=0), finished=now_utc().replace(microsecond=0), caller_arn=None)
    outcomes = tuple(_beside_each_other(work.done))
    return build(outcomes, _all(outcomes), now, ran, echo, tolerated=tolerated)


async def _verify(
    question: LakeQuestion,
    session: AnySession | None,
    now: datetime,
    watch: Watch,
    companion: Companion | None,
    on_start: Callable[[Stop], None] | None,
) -> Report:
    begun, stop = now_utc(), Stop()
    if on_start is not None:
        on_start(stop)
    filed = read_key_file(question.public_keys) if question.public_keys else None
    aws = await in_daemon_thread(_identity, question, session) if question.source is None or filed is None else None
    place, store, keys = question.place, _store(question, aws), _keys(filed, aws, now)
    if companion is not None:
        store, keys = companion.adapt(place, store, keys)
    caller = asyncio.create_task(in_daemon_thread(aws.caller_arn)) if aws else None
    work = _Work(place, Files(store, all_of_them=companion is not None), store, keys, now, watch)
    task = asyncio.create_task(_accompanied(work, aws, companion, timeless=filed is not None))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        interrupted = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=interrupted)
    finally:
        stopping.cancel()
        await store.close()
    ran = Run(
        started=begun.replace(microsecond=0),
        finished=now_utc().replace(microsecond=0),
        caller_arn=await caller if caller and (caller.done() or not interrupted) else None,
    )
    outcomes = tuple(_beside_each_other(work.done))
    counters = watch.progress
    reached = Reached(counters.objects_done, counters.objects_known, counters.listing_done) if interrupted else None
    return build(
        outcomes, _all(outcomes), now, ran, echo_of(question, now), tolerated=question.tolerate, reached=reached
    )


async def _accompanied(work: _Work, aws: Aws | None, companion: Companion | None, *, timeless: bool) -> None:
    await work.run(aws, timeless=timeless, told=companion.listed if companion else None)
    if companion is not None:
        await companion.conclude()


class _Work:
    """What there is to do, and what is done of it: `done` are the folders that were judged."""

    def __init__(
        self,
        place: Place,
        files: Files,
        store: Store,
        source: KeysOf,
        now: datetime,
        watch: Watch,
    ) -> None:
        self.done: list[Outcome] = []
        self._place = place
        self._files = files
        self._store = store
        self._source = source
        self._now = now
        self._watch = watch

    async def run(
        self, aws: Aws | None, *, timeless: bool, told: Callable[[Sequence[Listing]], None] | None = None
    ) -> None:
        """Do it. `aws` is who is refused, where the listing is; `timeless`: keys are the same whatever time is asked for.

        `told` is given what lies there.
        """
        listings = await _listings(self._place, self._store, aws, self._watch)
        if told is not None:
            told(listings)
        read = await _signs(self._place, self._files, listings, self._now)
        signs = [one.sign for one in read if one.sign]
        keyring = Keyring(self._source, signs, self._now, timeless=timeless)
        found: dict[tuple[str, str, datetime], FoundKey] = {}
        for sign in signs:
            if _key_of(sign) not in found:
                found[_key_of(sign)] = await in_daemon_thread(keyring.find, sign)
        gate = asyncio.Semaphore(_FOLDERS_AT_ONCE)

        async def judged(one: _Read) -> None:
            async with gate:
                self._take(one, await _judge(self._files, one, found.get(_key_of(one.sign)) if one.sign else None))

        await asyncio.gather(*map(judged, read))

    def _take(self, read: _Read, outcome: Outcome) -> None:
        counters = self._watch.progress
        counters.regions_done += 1
        counters.objects_done += len(read.listing.objects)
        counters.bytes_done += sum(info.size for info in read.listing.objects.values())
        for finding in outcome.findings:
            self._watch.found(finding)
        self.done.append(outcome)


def _keys(filed: KeySource | None, aws: Aws | None, now: datetime) -> KeysOf:
    """Whose keys count: those of a file, whatever the time, or CloudTrail's own answers."""
    if filed is not None or aws is None:
        return lambda _: filed or FileKeys(())
    from cloudtrail_validate.aws.public_keys import AwsKeys

    return lambda window: AwsKeys(aws, window, now)


def _identity(question: LakeQuestion, session: AnySession | None) -> Aws:
    from cloudtrail_validate.aws.session import Aws

    return Aws(
        session,
        profile=question.profile,
        endpoint_url=question.endpoint_url,
        role_arn=question.role_arn,
        external_id=question.external_id,
    )


def _store(question: LakeQuestion, aws: Aws | None) -> Store:
    if aws is not None and question.source is None:
        from cloudtrail_validate.stores.s3 import S3

        return S3(lambda: aws, limiter=RateLimiter(fit_descriptor_limit(_REQUESTS)))
    from cloudtrail_validate.stores.local import Local

    return Local(question.source or Path(), follow_links=question.follow_links, processes=False)


async def _listings(place: Place, store: Store, aws: Aws | None, watch: Watch) -> list[Listing]:
    """Everything that lies there. Raises `ConfigurationError` or `AccessError` where that cannot be said."""
    counters = watch.progress
    counters.phase = "listing"
    try:
        listings = [listing async for listing in folders(store, place.bucket, place.prefix)]
    except BucketAbsentError as error:
        raise ConfigurationError(printable(f"{place.uri}: {error}")) from error
    except (StoreError, AbsentError) as error:
        failure = error if isinstance(error, StoreError) else StoreError(Cause.NETWORK, str(error))
        doing, login = f"cannot list {place.uri}", aws.login if aws else None
        on = f"arn:{aws.partition}:s3:::{place.bucket}" if aws and place.bucket else ""
        raise refused(failure, doing, permission="s3:ListBucket", on=on, login=login) from error
    counters.phase, counters.listing_done = "verifying", True
    counters.regions_known = len(listings)
    counters.objects_known = sum(len(listing.objects) for listing in listings)
    counters.bytes_known = sum(info.size for listing in listings for info in listing.objects.values())
    return listings


async def _signs(place: Place, files: Files, listings: Sequence[Listing], now: datetime) -> list[_Read]:
    gate = asyncio.Semaphore(_FOLDERS_AT_ONCE)

    async def sign_of(listing: Listing) -> _Read:
        async with gate:
            return await _sign(files, place, listing, now)

    return await asyncio.gather(*map(sign_of, listings))


def _key_of(sign: SignFile) -> tuple[str, str, datetime]:
    return sign.region, sign.fingerprint, sign.completed


async def _sign(files: Files, place: Place, listing: Listing, now: datetime) -> _Read:
    """Read one folder's sign file."""
    folder = Folder(place.bucket, listing.prefix, place_of(f"{place.above}{listing.prefix}"))
    judge, info = Judge(folder), listing.objects.get(SIGN_FILE)
    if info is None:
        return _Read(listing, folder, None, judge.finding(rules.LAKE_SIGN_MISSING, SIGN_FILE))
    taken = await files.sign(folder.where(SIGN_FILE), info)
    seen = taken.seen
    if seen.absent:
        return _Read(listing, folder, None, judge.finding(rules.LAKE_SIGN_MISSING, SIGN_FILE))
    if seen.cause is not None:
        return _Read(listing, folder, None, judge.unreadable(rules.LAKE_SIGN_UNREADABLE, SIGN_FILE, seen))
    sign = seen.special or read_sign_file(taken.data, now)
    if isinstance(sign, str):
        return _Read(listing, folder, None, judge.finding(rules.LAKE_SIGN_MALFORMED, SIGN_FILE, detail=sign))
    return _Read(listing, folder, sign, None)


async def _judge(files: Files, read: _Read, found: FoundKey | None) -> Outcome:
    """Judge one folder; its results are read only by names that the listing has and CloudTrail gives."""
    listing, folder, sign = read.listing, read.folder, read.sign
    there = set(listing.objects) - {SIGN_FILE}
    if sign is None or found is None:
        findings = (read.finding,) if read.finding else ()
        return Outcome(folder, None, Signed.UNUSABLE, findings, Counts(unverifiable=len(there)))
    judge = Judge(folder, sign)
    signed, finding = judge_signature(judge, sign, found)
    found_of_sign: list[Finding] = [finding] if finding else []
    info = listing.objects[SIGN_FILE]
    found_of_sign += judge_place(judge, sign, found, info.modified if files.dated else None)
    listed = sign.listed()
    seen = await files.results(folder.bucket, listing, sorted(there & listed.keys()))
    unlisted = sorted(there - listed.keys())
    wanted = files.all_of_them or {one.sha256 for one in seen.values()} != set(listed.values())
    if wanted and len(unlisted) <= MOST_UNLISTED:
        seen |= await files.results(folder.bucket, listing, unlisted)
    seen = {name: Seen() for name in unlisted} | seen
    about_files, counts = judge_files(judge, sign, signed, seen)
    statement, covered = _statement(sign, signed, seen)
    return Outcome(
        folder,
        sign,
        signed,
        (*found_of_sign, *about_files),
        counts,
        sum(one.size for one in seen.values()),
        statement,
        covered,
        found.key if signed is Signed.VALID else None,
    )


def _statement(sign: SignFile, signed: Signed, seen: dict[str, Seen]) -> tuple[str | None, bool]:
    """The query statement, out of the first result file that holds one, and whether AWS signed that file's hash."""
    listed = set(sign.listed().values())
    for file in sign.files:
        one = seen.get(file.name, Seen())
        told = statement_in(one.head) if one.head else None
        if told is not None:
            return told, signed is Signed.VALID and one.sha256 in listed
    return None, False


def _beside_each_other(outcomes: Sequence[Outcome]) -> Iterable[Outcome]:
    """The same results, completed in the same second, cannot be those of two queries: one folder is a copy of the other."""

    def same(outcome: Outcome) -> tuple[str, datetime] | None:
        sign, place = outcome.sign, outcome.folder.place
        proven = place is not None and outcome.signed is Signed.VALID
        return (sign.signature.lower(), sign.completed) if sign and proven else None

    twins: dict[tuple[str, datetime], list[Outcome]] = {}
    for outcome in outcomes:
        if (known := same(outcome)) is not None:
            twins.setdefault(known, []).append(outcome)
    for outcome in outcomes:
        mine = same(outcome)
        others = [one for one in twins[mine] if one is not outcome] if mine else []
        if not others:
            yield outcome
            continue
        detail = f"the same results lie in {others[0].folder.where('')}"
        finding = Judge(outcome.folder, outcome.sign).finding(rules.LAKE_MOVED, SIGN_FILE, detail=detail)
        yield msgspec.structs.replace(outcome, findings=(*outcome.findings, finding))


def _all(outcomes: Iterable[Outcome]) -> Findings:
    kept = FindingSet()
    for outcome in outcomes:
        for finding in outcome.findings:
            kept.add(finding)
    return kept.freeze()
