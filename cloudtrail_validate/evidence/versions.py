"""What became of an altered or missing object: its versions, which of them AWS delivered, and how it comes back.

`witness` asks the bucket: s3:ListBucketVersions and s3:GetObjectVersion, and s3:GetBucketVersioning, without which one
note is less exact. What it saw is judged in `history`. Nothing raises on what a bucket holds or refuses.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.digest import Fetched, SignatureStatus
from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.layout import DigestName
from cloudtrail_validate.core.model import Cause, Finding, Locator, utc
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.core.text import plural, printable, size
from cloudtrail_validate.core.versions import Changes, Counts, Versions
from cloudtrail_validate.engine.log_checker import judge_content
from cloudtrail_validate.evidence.diff import REPORTED_BYTES, TooLargeError, brief, compare
from cloudtrail_validate.evidence.history import ENDS, Checked, Entry, Listing, Subject, assemble, merge, subjects
from cloudtrail_validate.evidence.objects import MOST_BYTES, Body, asked, opened, twice

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

THREADS: Final = 16
PAGE: Final = 1000  # versions a request, S3's own maximum
MOST_PAGES: Final = 100  # for one key
_LARGE_DIGEST: Final = 128 * 1024  # compressed; it may inflate to 14 MB, so larger ones are held one at a time


def witness(
    findings: Sequence[Finding], aws: Aws, keys: Callable[[str], RegionKeys], *, limit: int = 1000
) -> dict[Locator, Versions]:
    """Look for the originals of the objects that `findings` are about, by where they lie (`Finding.where`).

    Looked at are objects that are altered, missing or extra, unreadable, signed with an unknown key, or rewritten, in
    the order of the findings; of those beyond `limit` the note says that they were not. A finding's `expected` counts
    as the SHA-256 of a log's inflated content, and of a digest's where the rule is digest-missing or
    digest-link-broken. `keys` answers with the public keys of a region; it is asked once a region, from any thread.
    Blocking; raises nothing that a bucket brings about.
    """
    wanted = subjects(findings)
    looked = list(wanted.values())[:limit]
    look = _Look(aws, keys)
    pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ctvalidate-versions")
    try:
        found = dict(zip((subject.where for subject in looked), pool.map(look.at, looked), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    beyond = Versions(note=f"not looked at: only the first {plural(limit, 'object')} of a run are")
    return found | {where: beyond for where in wanted if where not in found}


class _Page(NamedTuple):
    """One page of a listing; `complete` is false on the last one that is asked for although more would follow."""

    entries: list[Entry]
    complete: bool = True


@dataclass(slots=True)
class _Look:
    """Asks the bucket, and remembers keys and buckets. Thread-safe."""

    aws: Aws
    keys: Callable[[str], RegionKeys]
    _regions: dict[str, RegionKeys] = field(default_factory=dict)
    _keeps: dict[str, bool | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _large: threading.Lock = field(default_factory=threading.Lock)

    def at(self, subject: Subject) -> Versions:
        """Look into one object."""
        bucket = subject.where.bucket
        if not bucket:
            return Versions(note="a local copy has no versions: look at the bucket itself")
        try:
            listing = self._list(subject.where)
        except BucketAbsentError:
            return Versions(note=f"there is no bucket {printable(bucket)}")
        except (AbsentError, ConfigurationError) as error:
            return Versions(note=f"versions could not be listed: {printable(str(error))}")
        except StoreError as error:
            if error.cause is Cause.ACCESS_DENIED:
                return Versions(note="versions are denied: allow s3:ListBucketVersions on the bucket")
            return Versions(note=f"versions could not be listed ({error.cause}): {printable(error.detail)}")
        checked: dict[str, Checked] = {}
        if subject.provable:
            checked = {e.version_id: self._check(subject, e) for e in listing.entries if e.size is not None}
        unnamed = all(entry.version_id == "null" for entry in listing.entries)
        found = assemble(subject, listing, checked, keeps=self._keeps_versions(bucket) if unnamed else True)
        return self._with_changes(subject, listing.entries, checked, found)

    def _with_changes(
        self, subject: Subject, entries: Sequence[Entry], checked: Mapping[str, Checked], found: Versions
    ) -> Versions:
        """Add what a log's present content says differently from its original."""
        if subject.digest or found.original is None or entries[0].size is None:
            return found
        now = entries[0].version_id
        if checked[now].proven or checked[now].cause is not None:
            return found
        first = found.original.version_id
        try:
            changes = twice(lambda: self._compare(subject.where, first, now))
        except (StoreError, AbsentError, ConfigurationError, TooLargeError) as error:
            nothing = Counts(unchanged=0, removed=0, added=0, changed=0, duplicates=0)
            changes = Changes(verdict="unknown", counts=nothing, problem=printable(str(error)))
        return replace(found, changes=changes)

    def _compare(self, where: Locator, original: str, altered: str) -> Changes:
        """Two versions of a log, event by event. Both are held in memory, so there is one such comparison at a time."""
        with self._large, opened(self.aws, where, original) as one, opened(self.aws, where, altered) as other:
            return brief(compare(one.pieces, other.pieces, most=REPORTED_BYTES))

    def _list(self, where: Locator) -> Listing:
        """All versions of exactly this key. Of more than `ENDS` at either end the middle is let go as it comes."""
        entries: list[Entry] = []
        skipped, page = 0, _Page([])
        for page in self._pages(where):
            entries += page.entries
            surplus = max(0, len(entries) - 2 * ENDS)
            del entries[ENDS : ENDS + surplus]
            skipped += surplus
        return Listing(tuple(entries), skipped, endless=not page.complete)

    def _pages(self, where: Locator) -> Iterator[_Page]:
        client = self.aws.s3_client(where.bucket)
        start: dict[str, Any] = {}
        for number in range(1, MOST_PAGES + 1):
            ask = partial(client.list_object_versions, Bucket=where.bucket, Prefix=where.key, MaxKeys=PAGE, **start)
            answer: Any = asked(ask)
            versions, markers = answer.get("Versions", ()), answer.get("DeleteMarkers", ())
            entries = merge(_entries(versions, where.key), _entries(markers, where.key))
            # Keys come in order: once another one appears, or is next, this key's versions are at an end.
            others = any(item.get("Key") != where.key for item in (*versions, *markers))
            token = answer.get("NextKeyMarker")
            if others or not answer.get("IsTruncated") or token != where.key:
                yield _Page(entries)
                return
            yield _Page(entries, complete=number < MOST_PAGES)
            start = {"KeyMarker": token, "VersionIdMarker": answer.get("NextVersionIdMarker") or "null"}

    def _check(self, subject: Subject, entry: Entry) -> Checked:
        """Read one version and say whether it is the original."""
        if (entry.size or 0) > MOST_BYTES:
            return Checked(None, detail=f"version {entry.version_id} has more than {size(MOST_BYTES)}, as no log has")
        try:
            return twice(lambda: self._read(subject, entry))
        except StoreError as error:
            return Checked(None, cause=error.cause, detail=error.detail)
        except (AbsentError, ConfigurationError) as error:
            return Checked(None, detail=str(error))

    def _read(self, subject: Subject, entry: Entry) -> Checked:
        with self._held(subject, entry), opened(self.aws, subject.where, entry.version_id) as body:
            return self._judge_digest(subject, subject.name, body) if subject.name else _judge_log(subject, body)

    def _held(self, subject: Subject, entry: Entry) -> contextlib.AbstractContextManager[object]:
        """A log is hashed in pieces; a digest is held whole, so of large ones there is one at a time."""
        return self._large if subject.digest and (entry.size or 0) > _LARGE_DIGEST else contextlib.nullcontext()

    def _judge_digest(self, subject: Subject, name: DigestName, body: Body) -> Checked:
        """By what its proven successor recorded, where that is known; else by its own signature."""
        inflater = digest.inflater(body.size)
        for piece in body.pieces:
            inflater.feed(piece)
        content = inflater.finish()
        keys = self._region_keys(name.chain.region)
        fetched = Fetched(
            subject.where, name.chain, name.end, inflater.kept(), content.sha256, content.flaw, body.metadata
        )
        evidence, _ = digest.observe(fetched, keys)
        if evidence.own is SignatureStatus.UNUSABLE or content.flaw is not None:
            return Checked(proven=False, sha256=content.sha256)
        if subject.hashes:
            return Checked(content.sha256 in subject.hashes, content.sha256)
        if any(digest.proves(evidence, signature, keys) for signature in subject.signatures):
            return Checked(proven=True, sha256=content.sha256)
        if evidence.own is SignatureStatus.NO_KEY:
            detail = keys.detail or "no public key has the fingerprint that it names"
            return Checked(None, content.sha256, detail=detail)
        return Checked(evidence.own is SignatureStatus.VALID and not evidence.findings, content.sha256)

    def _region_keys(self, region: str) -> RegionKeys:
        with self._lock:
            if region not in self._regions:
                self._regions[region] = self.keys(region)
            return self._regions[region]

    def _keeps_versions(self, bucket: str) -> bool | None:
        """Whether the bucket keeps versions, or ever did; None where nobody says."""
        with self._lock:
            if bucket not in self._keeps:
                client = self.aws.s3_client(bucket)
                self._keeps[bucket] = None
                with contextlib.suppress(StoreError, AbsentError):
                    self._keeps[bucket] = "Status" in asked(lambda: client.get_bucket_versioning(Bucket=bucket))
            return self._keeps[bucket]


def _judge_log(subject: Subject, body: Body) -> Checked:
    """By the hash that a proven digest holds of it; what is appended to the content makes another object of it."""
    inflater = Inflater()
    for piece in body.pieces:
        inflater.feed(piece)
    content = inflater.finish()
    proven = any(judge_content(sha256, content) is None for sha256 in subject.hashes)
    return Checked(proven, content.sha256)


def _entries(items: Sequence[Mapping[str, Any]], key: str) -> list[Entry]:
    """The lines about exactly this key; those without a time are of no use."""
    return [
        Entry(
            str(item.get("VersionId", "null")),
            utc(item["LastModified"]).replace(microsecond=0),
            int(item["Size"]) if "Size" in item else None,
            bool(item.get("IsLatest")),
        )
        for item in items
        if item.get("Key") == key and "LastModified" in item
    ]
