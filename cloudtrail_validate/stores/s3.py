"""Reads S3 through libcurl. An answer counts only if it is S3's own about what was asked; else it is asked again.

What is believed, and what it takes (CONTRACT, "Whose fault it is"):

- content: status 200 with the length and ETag that were listed. Where they differ the object is listed again, and then read
  again; where it may not be listed, two reads must agree.
- absence of an object: S3's code NoSuchKey, and a listing that does not show it, or that code twice; of a bucket: twice.
- a listing: a whole `ListBucketResult` of this bucket and prefix, in order. One that shows nothing is asked for twice.
- a customer's key, an expired token, a wrong clock: S3's code for it, twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater, digest_of
from cloudtrail_validate.core.model import Cause, Locator, ObjectInfo
from cloudtrail_validate.core.trouble import OF_IDENTITY, diagnose
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts, cores
from cloudtrail_validate.runtime.loop import fit_descriptor_limit
from cloudtrail_validate.stores import s3_answers as answers
from cloudtrail_validate.stores.columns import Columns
from cloudtrail_validate.stores.curl import Curl
from cloudtrail_validate.stores.protocol import Children, Stored, outcome
from cloudtrail_validate.stores.retries import Tries
from cloudtrail_validate.stores.s3_answers import Asked, ElsewhereError, ExpiredError, NotS3Error, Page
from cloudtrail_validate.stores.s3_ways import Ways
from cloudtrail_validate.stores.transfer import Answer, Broken, Route, TransferError, Way

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

PAGE: Final = 1000  # keys a listing request, S3's own maximum
_PAGE_BYTES: Final = 8 * 1024 * 1024  # of such a listing: 1,000 keys of 1,024 bytes, each as %XX, are half of it
_EMPTY_PAGES: Final = 1000  # in a row that go on without a key: S3 passes over deleted objects, but not for ever
_MOVES: Final = 2  # regions that a bucket may be sought in, beyond the first
# Compressed. Smaller ones inflate on the loop, in 0.2 ms at most. A thread for one of 18 kB costs more than it saves; one of
# 55 kB is done in a fifth less time on two cores.
_INLINE_BYTES: Final = 32 * 1024
_WHOLE_BYTES: Final = 4 * 1024 * 1024  # compressed; larger ones are streamed
_REFUSAL_BYTES: Final = 64 * 1024  # an answer other than content; S3's have less than 2 KiB
_ANY_SIZE: Final = 1 << 50  # bytes; S3 holds no object of that size
_LISTINGS: Final = 64  # requests beside those that the limiter counts
T = TypeVar("T")


class Listed(msgspec.Struct, frozen=True, gc=False):
    """Holds what an object's content must agree with: size in bytes, and ETag where the listing has one."""

    size: int
    etag: str


class DiffersError(NotS3Error):
    """An object came that is not what was listed: rewritten meanwhile, or damaged on its way."""


Attempt = Callable[[Listed | None], Awaitable[tuple[T, Answer]]]


class S3:
    """All buckets that one set of credentials reaches. `identity` and `ways` are as `Ways` has them."""

    dated = True
    batch = 1
    workers: int | None = None

    def __init__(
        self,
        identity: Callable[[], Aws],
        *,
        limiter: RateLimiter,
        timeouts: Timeouts | None = None,
        ways: Iterable[Way] = (),
    ) -> None:
        self._limiter = limiter
        self._timeouts = timeouts or Timeouts()
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ctvalidate-s3")
        self._inflating = ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="ctvalidate-inflate")
        self._ways = Ways(identity, self._threads, ways)
        self._curl = Curl(self._timeouts, fit_descriptor_limit(limiter.ceiling + _LISTINGS))

    def ways(self) -> tuple[Way, ...]:
        """Return the ways that are open now, for another process on this machine to go."""
        return self._ways.held()

    async def scan(
        self, bucket: str, prefix: str, *, after: str = "", before: str | None = None
    ) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Yield keys under a prefix. A listing that broke off goes on behind the last whole page."""
        start, token = _just_before(after), None
        last, tries = start, Tries(self._timeouts, self._limiter)
        found = confirmed = False
        empty = 0
        while True:
            try:
                page = await self._page(bucket, Asked(answers.listed_name(bucket), prefix, last), start, token)
            except StoreError as error:
                await tries.again_after(error)
                start, token = last, None
                continue
            tries.reset()
            if page.objects:
                found, empty, last = True, 0, page.objects[-1].key
                yield _between(page.objects, after, before)
                if before is not None and last >= before:
                    return
            elif (empty := empty + 1) > _EMPTY_PAGES:
                raise NotS3Error("a listing that does not come to an end")
            token = page.token
            if token is None:
                if found or confirmed:
                    return
                confirmed = True  # nothing is there: asked once more, for it may say that something was deleted

    async def children(self, bucket: str, prefix: str) -> Children:
        """Return one level of a listing, all its pages."""
        level = await self._insist(lambda: self._children(bucket, prefix))
        if not level.folders and not level.objects:
            level = await self._insist(lambda: self._children(bucket, prefix))
        return level

    async def exact(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the listing's entry of exactly this key, None where there is none."""
        for _ in range(2):
            page = await self._insist(lambda: self._first(bucket, key))
            if page.objects:
                return page.objects[0] if page.objects[0].key == key else None
        return None

    async def digest(
        self, where: Locator, size: int | None = None, etag: str = ""
    ) -> tuple[Inflater, Mapping[str, str] | None]:
        """Return a digest and its user metadata."""

        async def attempt(listed: Listed | None) -> tuple[Inflater, Answer]:
            return await self._inflated(where, listed, digest.inflater)

        inflater, answer = await self._read(where, size, etag, attempt)
        return inflater, answers.metadata(answer)

    async def content(self, where: Locator, size: int | None, etag: str = "", make: MakeInflater = Inflater) -> Content:
        """Return a log's content: small ones whole, large ones as a stream, inflated where it does not hold up the loop."""

        async def attempt(listed: Listed | None) -> tuple[Content, Answer]:
            if listed is None or listed.size > _WHOLE_BYTES:
                inflater, answer = await self._inflated(where, listed, lambda _: make(accept_plain=False))
                return inflater.finish(), answer
            answer = await self._whole(where, listed)
            if answer.size <= _INLINE_BYTES:
                return digest_of(answer.body, make=make), answer
            return await self._inflate(partial(digest_of, make=make), answer.body), answer

        return (await self._read(where, size, etag, attempt))[0]

    async def contents(
        self, places: Sequence[Locator], make: MakeInflater = Inflater
    ) -> Sequence[Content | AbsentError | StoreError]:
        """Return several logs at once."""
        return await asyncio.gather(*(outcome(self.content(where, None, make=make)) for where in places))

    async def stored(
        self, where: Locator, make: Callable[[int | None], Inflater], size: int | None = None, etag: str = ""
    ) -> Stored:
        """Return an object as it is stored."""

        async def attempt(listed: Listed | None) -> tuple[Inflater, Answer]:
            return await self._inflated(where, listed, make, aside=True)

        inflater, answer = await self._read(where, size, etag, attempt)
        return Stored(inflater, answers.metadata(answer), answers.modified(answer))

    async def close(self) -> None:
        """Close connections and stop the threads."""
        await self._curl.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._inflating.shutdown(wait=False, cancel_futures=True)

    # Reading: until what comes is what is listed.

    async def _read(self, where: Locator, size: int | None, etag: str, attempt: Attempt[T]) -> tuple[T, Answer]:
        """Read an object until S3 does not contradict itself: about its content, or about its absence."""
        listed, known = (Listed(size, etag), True) if size is not None else await self._look_up(where, None)
        seen: Listed | None = None  # what one read found where no listing says what to expect
        tries, gone = Tries(self._timeouts, self._limiter), False
        while True:
            try:
                value, answer = await attempt(listed or seen)
            except BucketAbsentError:
                raise
            except AbsentError as absent:
                if not known or listed is not None:
                    listed, known = await self._look_up(where, listed)
                if gone or (known and listed is None):
                    raise  # S3 has said it twice, or the listing says so as well
                gone = True
                failure: StoreError = NotS3Error(f"listed, and then not there: {absent}")
            except DiffersError as error:
                listed, known = await self._look_up(where, listed)
                seen, failure = None, error
            except StoreError as error:
                failure = error
            else:
                if listed or seen:
                    return value, answer
                seen = Listed(answer.size, answers.etag(answer))
                continue
            await tries.again_after(failure)

    async def _look_up(self, where: Locator, before: Listed | None) -> tuple[Listed | None, bool]:
        """Look an object up in a listing. Returns its size and ETag (None: not listed), and whether it could be listed.

        Where it may not be listed now, what was said `before` stands.
        """
        try:
            page = await self._first(*where)
        except StoreError:
            return before, before is not None
        found = next((info for info in page.objects if info.key == where.key), None)
        return Listed(found.size, found.etag) if found else None, True

    async def _inflated(
        self,
        where: Locator,
        listed: Listed | None,
        make: Callable[[int | None], Inflater],
        *,
        aside: bool = False,
    ) -> tuple[Inflater, Answer]:
        """Return an object in a new inflater: whole where it is known to be small, else in pieces.

        `aside`: never on the loop.
        """
        if listed is None or listed.size > _WHOLE_BYTES:
            inflater = make(listed.size if listed else None)
            answer = await self._get(
                where, listed.size if listed else _ANY_SIZE, lambda piece: self._inflate(inflater.feed, piece)
            )
            _check(answer, listed)
            return inflater, answer
        answer = await self._whole(where, listed)
        inflater = make(answer.size)
        if aside or answer.size > _INLINE_BYTES:
            await self._inflate(inflater.feed, answer.body)
        else:
            inflater.feed(answer.body)
        return inflater, answer

    async def _whole(self, where: Locator, listed: Listed) -> Answer:
        answer = await self._get(where, max(listed.size, _REFUSAL_BYTES))
        _check(answer, listed)
        return answer

    async def _inflate(self, work: Callable[[bytes], T], data: bytes) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._inflating, work, data)

    # Listing.

    async def _children(self, bucket: str, prefix: str) -> Children:
        folders: list[str] = []
        objects: list[ObjectInfo] = []
        token, last, empty = None, "", 0
        while True:
            page = await self._page(bucket, Asked(answers.listed_name(bucket), prefix, last, delimited=True), "", token)
            folders += [name[len(prefix) : -1] for name in page.folders]
            # An empty object of the folder's own name marks it, and is none in it.
            objects += [info for info in page.objects if info.key != prefix or info.size]
            token = page.token
            if token is None:
                return Children(tuple(folders), tuple(objects))
            empty = 0 if page.folders or page.objects else empty + 1
            if empty > _EMPTY_PAGES:
                raise NotS3Error("a listing that does not come to an end")
            last = max([last, *page.folders[-1:], *(info.key for info in page.objects[-1:])])

    async def _first(self, bucket: str, key: str) -> Page:
        """Return the first object, at most, whose key begins with `key`."""
        return await self._page(bucket, Asked(answers.listed_name(bucket), key), "", None, limit=1)

    async def _page(self, bucket: str, asked: Asked, start: str, token: str | None, limit: int = PAGE) -> Page:
        options: dict[str, Any] = {"Prefix": asked.prefix, "MaxKeys": limit}
        options |= {"Delimiter": "/"} if asked.delimited else {}
        options |= {"ContinuationToken": token} if token is not None else {"StartAfter": start} if start else {}
        try:
            answer = await self._ask(bucket, lambda way: self._ways.to_page(way, options), _PAGE_BYTES)
        except BucketAbsentError:
            raise
        except AbsentError as error:  # of a key, where none was asked for
            raise NotS3Error(str(error)) from error
        return answers.parse_page(answer.body, asked)

    # Asking.

    async def _get(
        self, where: Locator, limit: int, take: Callable[[bytes], Awaitable[object]] | None = None
    ) -> Answer:
        return await self._ask(where.bucket, lambda way: self._ways.to_object(way, where.key), limit, take)

    async def _ask(
        self,
        bucket: str,
        request: Callable[[Way], Awaitable[tuple[Route, str]]],
        limit: int,
        take: Callable[[bytes], Awaitable[object]] | None = None,
    ) -> Answer:
        """Ask until S3 itself has answered with status 200. Raises `StoreError` and `AbsentError`."""
        moves, doubted = 0, False
        way = self._ways.known(bucket) or await self._ways.to(bucket)
        while True:
            route, url = await request(way)
            try:
                if take is None:
                    answer = await self._curl.get(route, url, limit)
                else:
                    answer = await self._curl.stream(route, url, limit, take)
            except TransferError as error:
                raise _on_the_way(error, url) from error
            if answer.status == 200:
                return answer
            failure = answers.refusal(answer)
            if isinstance(failure, ElsewhereError) and failure.region and moves < _MOVES:
                moves += 1
                way = await self._ways.elsewhere(way, failure.region)
            elif _doubtful(failure) and not doubted:
                doubted = True
                if isinstance(failure, ExpiredError):
                    way = await self._ways.renewed(way)
            else:
                raise failure

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try a whole request again where it failed for a passing reason."""
        tries = Tries(self._timeouts, self._limiter)
        while True:
            try:
                return await attempt()
            except StoreError as error:
                await tries.again_after(error)


def _between(objects: Sequence[ObjectInfo], after: str, before: str | None) -> Sequence[ObjectInfo]:
    if isinstance(objects, Columns):
        return objects.between(after, before)
    return [item for item in objects if item.key >= after and (before is None or item.key < before)]


def _check(answer: Answer, listed: Listed | None) -> None:
    """Compare content with what was listed. Raises `DiffersError`."""
    if listed is None:
        if not answers.etag(answer):
            raise DiffersError("content without an ETag, which S3 always gives")
    elif answer.size != listed.size:
        raise DiffersError(f"{answer.size:,} bytes came of an object of {listed.size:,}")
    elif listed.etag and answers.etag(answer) != listed.etag:
        raise DiffersError("another ETag came than was listed: it was rewritten meanwhile, or something else answered")


def _doubtful(failure: StoreError | AbsentError) -> bool:
    """Tell whether a refusal has consequences that one answer alone must not have."""
    if isinstance(failure, AbsentError):
        return isinstance(failure, BucketAbsentError)
    if isinstance(failure, (CustomerKeyError, ElsewhereError, ExpiredError)):
        return True
    return diagnose(failure.code, failure.detail) in OF_IDENTITY


def _on_the_way(error: TransferError, url: str) -> StoreError:
    """Sort a transfer that broke off into an error that names the host."""
    host = urlsplit(url).hostname or url
    match error.where:
        case Broken.TOO_LONG:
            return DiffersError("more bytes came than are listed")
        case Broken.CERTIFICATE:
            said = f"the certificate of {host} is refused"
        case Broken.PROXY | Broken.UNREACHABLE:
            said = f"cannot connect to {host}"
        case Broken.OTHERWISE:
            said = f"no whole answer from {host}"
    return StoreError(Cause.NETWORK, f"{said}: {error.detail}", code=error.where.value)


def _just_before(after: str) -> str:
    """Return a key that sorts shortly before `after`.

    S3 lists from behind the key it is given, and `after` is wanted too.
    """
    if not after or after.endswith("/"):
        return after.rstrip("/")
    code = ord(after[-1]) - 1
    return after[:-1] + chr(0xD7FF if 0xD800 <= code <= 0xDFFF else max(1, code)) + "~"
