"""Brings proven originals from a bucket's versions into a folder, checking each again as it is written.

A report that was made with versions (`ctvalidate --versions`) says which version of an object is the one that AWS
delivered, and what its inflated content hashes to. `plan` reads that off a report, `Recovery` copies. Files go to
`DIR/KEY`, byte for byte as the bucket has them, and a digest's S3 metadata (its signature) to
`DIR/KEY.metadata.json`, so that `ctvalidate --source DIR` validates what came back.

The report is trusted to say what is wanted, never that it is what was wanted, nor where files may go.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

import msgspec

from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.gzip import Content, Inflater
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.core.portable import is_foreign
from cloudtrail_validate.core.sidecar import MAX_BYTES, SIDECAR, write_sidecar
from cloudtrail_validate.core.text import size
from cloudtrail_validate.core.versions import Versions
from cloudtrail_validate.evidence.objects import MOST_BYTES, PIECE_BYTES, Body, opened, twice
from cloudtrail_validate.report import SCHEMA
from cloudtrail_validate.runtime.files import Draft, open_regular, sweep

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

THREADS: Final = 8
_NO_ORIGINAL: Final = frozenset({"log-extra"})  # what CloudTrail never delivered has none
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ReportError(ValueError):
    """The file is no report from which anything can be recovered: one line on why."""


class Outcome(StrEnum):
    """What became of one object."""

    RECOVERED = "recovered"
    PRESENT = "present"  # what lies there proves already
    LOST = "lost"  # no version of it is proven
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One original: where and in which version it lay, and when it was written (UTC).

    `sha256` (lower-case hex) is that of its inflated content.
    """

    where: Locator
    version_id: str
    sha256: str
    modified: datetime
    digest: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a report lets recover, and the objects of which it knows no original, with its reasons."""

    wanted: tuple[Wanted, ...]
    lost: tuple[tuple[Locator, str], ...]


@dataclass(frozen=True, slots=True)
class Done:
    """One object's line. `detail` says why it was not recovered; it may hold hostile text."""

    where: Locator
    outcome: Outcome
    detail: str | None = None


class _Finding(msgspec.Struct, frozen=True):
    """As much of a finding as matters here, so that a report with fields still unknown serves as well."""

    rule: str
    bucket: str | None
    key: str | None
    versions: Versions | None = None


class _Report(msgspec.Struct, frozen=True):
    schema: Literal["ctvalidate.report/1"]
    findings: tuple[_Finding, ...]


def plan(data: bytes | str) -> Plan:
    """Read off a JSON report what can be recovered, each object once. Raises `ReportError`."""
    try:
        report = msgspec.json.decode(data, type=_Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReportError(f"expected a JSON report, schema {SCHEMA}: {error}") from error
    told = [(finding, finding.versions) for finding in report.findings if finding.versions is not None]
    if not told:
        raise ReportError("the report says nothing of versions: validate with --versions --output REPORT.json")
    wanted: dict[Locator, Wanted] = {}
    lost: dict[Locator, str] = {}
    for finding, versions in told:
        if finding.bucket is None or finding.key is None:
            continue
        where, original = Locator(finding.bucket, finding.key), versions.original
        if original is not None and _SHA256.fullmatch(original.sha256):
            digest = finding.rule.startswith("digest-")
            wanted[where] = Wanted(where, original.version_id, original.sha256, original.last_modified, digest)
        elif finding.rule not in _NO_ORIGINAL:
            lost[where] = versions.note or "no version of it is proven"
    return Plan(tuple(wanted.values()), tuple(item for item in lost.items() if item[0] not in wanted))


@dataclass(slots=True)
class Recovery:
    """Copies originals to `folder`, which must exist. Thread-safe.

    A file that lies there already is left alone: with the right content it counts as `PRESENT`, with another it is
    replaced only under `force`, and then only once the original is whole beside it.
    """

    aws: Aws
    folder: Path
    force: bool = False
    _mine: set[tuple[int, int]] = field(default_factory=set)
    _drafts: set[Draft] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, items: Sequence[Wanted]) -> Iterator[Done]:
        """Copy them, several at a time, and tell of each in the order given. What a killed run left half made goes."""
        sweep(self.folder)
        pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ctvalidate-recover")
        try:
            yield from pool.map(self.one, items)
        finally:
            # Whoever is told to stop waits for no transfer: what is half made goes, and its thread with the process.
            pool.shutdown(wait=False, cancel_futures=True)
            for draft in tuple(self._drafts):
                draft.discard()

    def one(self, item: Wanted) -> Done:
        """Copy one original. Raises nothing that a bucket or the folder brings about."""
        try:
            path = self._path(item.where.key)
            whole = not item.digest or (_exists(_sidecar(path)) and not self.force)
            if whole and _proves(path, item.sha256):
                return Done(item.where, Outcome.PRESENT)
            twice(lambda: self._copy(item, path))
        except _RefusedError as refusal:
            return Done(item.where, Outcome.FAILED, str(refusal))
        except (AbsentError, StoreError, ConfigurationError) as error:
            return Done(item.where, Outcome.FAILED, f"version {item.version_id}: {error}")
        except OSError as error:
            return Done(item.where, Outcome.FAILED, f"cannot write: {error.strerror or error}")
        return Done(item.where, Outcome.RECOVERED)

    def _path(self, key: str) -> Path:
        """The file of a key. Raises `_RefusedError` for a key that is no file in the folder.

        Empty segments are left out, as `--source` and copy tools do.
        """
        parts = [part for part in key.split("/") if part]
        foreign = is_foreign(key, windows=os.name == "nt")
        if not parts or key.endswith("/") or {".", ".."} & set(parts) or foreign:
            raise _RefusedError("refused: this key would not be a file in the folder")
        try:
            os.fsencode(key)
        except UnicodeEncodeError:
            raise _RefusedError("refused: no file can have this name") from None
        return self.folder.joinpath(*parts)

    def _copy(self, item: Wanted, path: Path) -> None:
        if not path.parent.resolve().is_relative_to(self.folder.resolve()):
            raise _RefusedError("refused: a symbolic link leads out of the folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(self.aws, item.where, item.version_id) as body, self._draft(path) as draft:
            content = _take(body, draft.file)
            if content.flaw is not None or content.sha256 != item.sha256:
                flaw = f", {content.flaw.value}" if content.flaw else ""
                raise _RefusedError(f"what came is not the original (SHA-256 {content.sha256}{flaw}): nothing written")
            draft.finish(item.modified)
            with self._lock:
                # The signature first: where the digest is, it is complete, and a broken run is taken up again.
                if item.digest:
                    self._place_sidecar(body.metadata, path, item.modified)
                if not _proves(path, item.sha256):
                    self._place(draft, path)

    def _place_sidecar(self, metadata: Mapping[str, str], path: Path, modified: datetime) -> None:
        data = write_sidecar(metadata)
        sidecar = _sidecar(path)
        if _exists(sidecar) and _content(sidecar) == data:
            return
        with self._draft(sidecar) as draft:
            draft.file.write(data)
            draft.finish(modified)
            self._place(draft, sidecar)

    @contextlib.contextmanager
    def _draft(self, path: Path) -> Iterator[Draft]:
        """A file in the making. If it must have a name, that is at the top of the folder, where nobody validates."""
        with Draft(path.parent, named_in=self.folder) as draft:
            self._drafts.add(draft)
            try:
                yield draft
            finally:
                self._drafts.discard(draft)

    def _place(self, draft: Draft, path: Path) -> None:
        """Give a finished file its name, over another's only under `force` and never over one of this run."""
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if (status.st_dev, status.st_ino) in self._mine:
                raise _RefusedError("refused: another recovered key already is the same file")
            if not self.force:
                raise _RefusedError("refused: another file lies there (--force replaces it)")
        try:
            draft.place(path, replace=self.force)
        except FileExistsError:
            raise _RefusedError("refused: another file lies there (--force replaces it)") from None
        status = path.lstat()
        self._mine.add((status.st_dev, status.st_ino))


class _RefusedError(Exception):
    """One line on why an object is not written."""


def _take(body: Body, file: BinaryIO) -> Content:
    """Write an object as it comes, and say what its content is."""
    if body.size > MOST_BYTES:
        raise _RefusedError(f"refused: more than {size(MOST_BYTES)}, as no log or digest has")
    inflater = Inflater()
    for piece in body.pieces:
        inflater.feed(piece)
        file.write(piece)
    return inflater.finish()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _proves(path: Path, sha256: str) -> bool:
    """Whether a regular file holds this content, gzip or (as some copy tools leave it) inflated."""
    inflater = Inflater(accept_plain=True)
    try:
        with open_regular(path) as file:
            while piece := file.read(PIECE_BYTES):
                inflater.feed(piece)
    except OSError:
        return False
    content = inflater.finish()
    return content.flaw is None and content.sha256 == sha256


def _content(path: Path) -> bytes | None:
    """What a regular file holds that may be a sidecar, None where it is none."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES)
    except OSError:
        return None
