"""Completes a copy on disk with what copying lost: the signatures of its digests, which S3 keeps as user metadata.

For every digest of a folder HeadObject is asked, and the metadata is written beside it as `NAME.metadata.json`, where
`ctvalidate --source DIR` looks for it. Nothing that lies there is replaced, and no link is followed. What is fetched is
proven by nothing here: whoever validates the copy does that.
"""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudtrail_validate.core import digest
from cloudtrail_validate.core.copies import displacement, is_digest
from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.core.sidecar import MAX_BYTES, SIDECAR, read_sidecar, write_sidecar
from cloudtrail_validate.core.trouble import OF_SETTINGS, diagnose
from cloudtrail_validate.evidence.objects import asked
from cloudtrail_validate.runtime.files import Draft, sweep
from cloudtrail_validate.runtime.tree import Tree
from cloudtrail_validate.stores.file_hash import feed

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

THREADS: Final = 16  # HeadObject answers in about 20 ms; each keeps 24 folders open (`runtime.tree`)
_AT_ONCE: Final = 1000  # digests that are in hand at a time, however large the folder is
_SIGNATURE: Final = "signature"
_WITHOUT_REASON: Final = frozenset({"400", "403"})  # all that an answer to HEAD says, which has no body: GET says why


class Outcome(StrEnum):
    """What became of one digest's signature."""

    FETCHED = "fetched"
    PRESENT = "present"
    ABSENT = "absent"  # the bucket has no such digest, under none of the keys that it may have there
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """One digest's line: its path in the folder. `detail` says why it has no signature; it may hold hostile text."""

    path: str
    outcome: Outcome
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A digest of the folder, and whether a file for its metadata lies beside it; or a folder, and why it is not listed."""

    path: str
    sidecar: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches signatures into `folder`, which is a copy of what lies in `bucket` under `prefix`. Thread-safe.

    `prefix` is empty or ends in a slash. A digest that is not found there is looked for under the key that it says is its
    own, so that a copy of a part of the tree is completed as well.
    """

    aws: Aws
    bucket: str
    prefix: str
    folder: Path

    def run(self) -> Iterator[Done]:
        """Fetch what is missing, several at a time, and tell of each digest, in the order in which the folder lists them.

        Raises `ConfigurationError` and `StoreError` where the bucket cannot be asked at all, or not any more.
        """
        self.aws.bucket_region(self.bucket)
        sweep(self.folder)
        tree = Tree(str(self.folder))
        found = _digests(tree)
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ctvalidate-fetch")
        try:
            while batch := list(islice(found, _AT_ONCE)):
                yield from pool.map(lambda item: self._one(tree, item), batch)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever is told to stop waits for no request

    def _one(self, tree: Tree, item: _Found) -> Done:
        path = item.path
        try:
            if item.problem is not None:
                return Done(path, Outcome.FAILED, item.problem)
            return _present(tree, path) if item.sidecar else self._fetch(tree, path)
        except AbsentError:
            return Done(path, Outcome.ABSENT, "the bucket has no such object")
        except StoreError as error:
            if diagnose(error.code, error.detail) in OF_SETTINGS:
                raise  # the next digest would be told the same
            return Done(path, Outcome.FAILED, str(error))
        except ConfigurationError as error:
            return Done(path, Outcome.FAILED, str(error))
        except OSError as error:
            return Done(path, Outcome.FAILED, f"cannot write: {error.strerror or error}")

    def _fetch(self, tree: Tree, path: str) -> Done:
        try:
            path.encode()
        except UnicodeEncodeError:
            return Done(path, Outcome.ABSENT, "no object can have this name")
        metadata = self._metadata(tree, path)
        if _SIGNATURE not in metadata:
            return Done(
                path, Outcome.FAILED, "the object in the bucket has no signature either: expected the trail's own"
            )
        self._write(path + SIDECAR, write_sidecar(metadata))
        return Done(path, Outcome.FETCHED)

    def _metadata(self, tree: Tree, path: str) -> dict[str, str]:
        """A digest's metadata. Raises the first refusal: who may not list is refused what is not there as well."""
        first: AbsentError | StoreError | None = None
        for key in self._keys(tree, path):
            try:
                return self._head(key)
            except (AbsentError, StoreError) as error:
                first = first or error
        raise first or AbsentError(path)

    def _keys(self, tree: Tree, path: str) -> Iterator[str]:
        """The keys that a digest may have in the bucket, the likeliest first."""
        key = self.prefix + path
        yield key
        says = _claimed(tree, path)
        if says is not None and says.key != key and displacement(Locator("", path), says) is not None:
            yield says.key

    def _head(self, key: str) -> dict[str, str]:
        client = self.aws.s3_client(self.bucket)
        try:
            answer: Any = asked(lambda: client.head_object(Bucket=self.bucket, Key=key))
        except StoreError as error:
            if error.code not in _WITHOUT_REASON:
                raise
            answer = asked(lambda: client.get_object(Bucket=self.bucket, Key=key, Range="bytes=0-0"))
            answer["Body"].close()
        return {name.lower(): value for name, value in answer["Metadata"].items()}

    def _write(self, path: str, data: bytes) -> None:
        file = self.folder / path
        if not file.parent.resolve().is_relative_to(self.folder.resolve()):  # it was none when the folder was listed
            raise OSError(errno.ELOOP, "a symbolic link leads out of the folder")
        with Draft(file.parent, named_in=self.folder) as draft:
            draft.file.write(data)
            draft.finish(sync=False)
            with contextlib.suppress(FileExistsError):  # another run was faster
                draft.place(file, replace=False)


def _digests(tree: Tree) -> Iterator[_Found]:
    """Digests below the folder. Links are passed over."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        base = f"{folder}/" if folder else ""
        try:
            entries = sorted(tree.entries(folder))
        except OSError as error:
            yield _Found(base, problem=f"cannot list: {error.strerror or error}")
            continue
        names = {entry.name for entry in entries}
        for entry in entries:
            if is_digest(entry.name) and stat.S_ISREG(entry.status.st_mode):
                yield _Found(base + entry.name, entry.name + SIDECAR in names)
        waiting += [base + entry.name for entry in reversed(entries) if entry.is_folder]


def _present(tree: Tree, path: str) -> Done:
    """What lies beside a digest already is left alone, whatever it is."""
    try:
        with tree.open(path + SIDECAR) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        content = b""
    if len(content) <= MAX_BYTES and _SIGNATURE in read_sidecar(content):
        return Done(path, Outcome.PRESENT)
    return Done(path, Outcome.FAILED, f"the {SIDECAR} file beside it holds no signature: remove it to have it fetched")


def _claimed(tree: Tree, path: str) -> Locator | None:
    """Where a digest says that it lies, None where it cannot be read."""
    inflater = Inflater(accept_plain=True, keep=True, limit=digest.MAX_DIGEST_BYTES)
    try:
        feed(lambda: tree.open(path), inflater)
    except (AbsentError, StoreError):
        return None
    return digest.claimed_place(inflater.kept())
