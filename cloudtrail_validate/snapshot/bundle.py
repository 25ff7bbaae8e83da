"""The folder of a snapshot in the making: what is there already, what is added, and how it is finished.

Whatever is written goes to DIR/partial first and is renamed to its place, so that no file of the tree is ever half a
file. The journal gains a line as each file is in its place: what an interrupted run has copied is not lost.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from cloudtrail_validate.core.model import Interval, isoformat
from cloudtrail_validate.core.portable import folded
from cloudtrail_validate.runtime.files import Draft, write_whole
from cloudtrail_validate.snapshot.manifest import (
    CHECKSUM,
    DECLARATION,
    KEYS,
    MANIFEST,
    OTHER_TREES,
    PUBLIC_KEY,
    REPORT,
    SIGNATURE,
    STATEMENT,
    TIMESTAMP,
    TREE,
    File,
    SnapshotError,
)

JOURNAL: Final = "journal.jsonl"
PARTIAL: Final = "partial"
_WRITTEN: Final = (MANIFEST, CHECKSUM, SIGNATURE, STATEMENT, TIMESTAMP, DECLARATION, PUBLIC_KEY, REPORT, KEYS)
_OURS: Final = frozenset({*_WRITTEN, TREE, OTHER_TREES, JOURNAL, PARTIAL})
_UNHOLDABLE: Final = frozenset(
    {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)


class UnholdableError(Exception):
    """The file system cannot hold this one file, whatever else it can."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a snapshot was asked to hold, as the user said it: the same words go on with it."""

    trail_arn: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    source: str | None = None
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    start_time: str | None = None
    end_time: str | None = None
    last: str | None = None
    copy_of: str | None = None
    follow_links: bool = False
    queries: bool = False


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal's first line."""

    schema: Literal["ctvalidate.snapshot-journal/1"] = "ctvalidate.snapshot-journal/1"
    asked: Asked
    start: datetime
    end: datetime


class Bundle:
    """DIR, open for writing. `held` are the files that lie in their place, by path; `lock` guards every change.

    All methods raise `SnapshotError` where the disk is full or cannot be written to; ~0.5 kB of memory a file.
    """

    def __init__(
        self, root: Path, window: Interval, held: dict[str, File], journal: BinaryIO, *, folds: bool = False
    ) -> None:
        self.root = root
        self.window = window
        self.held = held
        self.lock = threading.Lock()
        self._journal = journal
        self.drafts = root / PARTIAL  # where files are made that are not whole yet
        self._made: set[str] = set()
        self._names: dict[str, str] | None = {} if folds else None
        for path in held:
            self.clashes(path)

    def place(self, path: str) -> Path:
        """The file of a path, its folders made. Raises `UnholdableError` where a file lies in a folder's place."""
        folder = self.root
        for name in path.split("/")[:-1]:
            folder /= name
            if str(folder) in self._made:
                continue
            with writing(self.root, folder), contextlib.suppress(FileExistsError):
                folder.mkdir()
            if not stat.S_ISDIR(folder.lstat().st_mode):  # a link, planted to have us write elsewhere, is none either
                raise UnholdableError("a file lies where its folder would be")
            self._made.add(str(folder))
        return self.root / path

    def clashes(self, path: str) -> bool:
        """Whether the file system takes this path, or a folder on it, for another that is in use. The lock must be held.

        Keys that differ in case alone are two objects in S3 and one file on macOS and Windows.
        """
        if self._names is None:
            return False
        parts = path.split("/")
        paths = ["/".join(parts[: number + 1]) for number in range(len(parts))]
        return any(self._names.setdefault(folded(path), path) != path for path in paths)

    def take(self, draft: Draft, file: File) -> None:
        """Move a whole file to its place and note it. The lock must be held."""
        target = self.place(file.path)
        with writing(self.root, target):
            draft.place(target, replace=True)
        self._note(file)

    def write(self, path: str, data: bytes, *, note: bool = True) -> File:
        """Write one of the snapshot's own files, whole and on the disk. The lock must be held where it is noted."""
        target = self.place(path)
        with writing(self.root, target):
            write_whole(target, data, drafts=self.drafts, sync=not note)
        made = File(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        if note:
            self._note(made)
        return made

    def drop(self, *paths: str) -> None:
        """Remove files of the snapshot's own that an earlier run may have left."""
        for path in paths:
            self.held.pop(path, None)
            with writing(self.root, self.root / path):
                (self.root / path).unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what lies in the trees and is not held: left by a run that was killed, or started again."""
        for tree in (TREE, OTHER_TREES):
            for folder, folders, names in os.walk(self.root / tree, topdown=False):
                for name in [*names, *folders]:
                    path = Path(folder, name)
                    with writing(self.root, path):
                        if path.is_symlink() or not path.is_dir():
                            if path.relative_to(self.root).as_posix() not in self.held:
                                path.unlink()
                        elif not any(path.iterdir()):
                            path.rmdir()

    def finish(self) -> None:
        """The snapshot is whole: the journal goes."""
        self.close()
        with writing(self.root, self.root / JOURNAL):
            shutil.rmtree(self.root / PARTIAL)
            (self.root / JOURNAL).unlink()

    def close(self) -> None:
        """Let go of the journal; what is copied stays."""
        with contextlib.suppress(OSError):  # of a full disk, for a line that was told as not written
            self._journal.close()

    def _note(self, file: File) -> None:
        with writing(self.root, self.root / JOURNAL):
            self._journal.write(msgspec.json.encode(file) + b"\n")
            self._journal.flush()
        self.held[file.path] = file


@contextlib.contextmanager
def writing(root: Path, path: Path) -> Iterator[None]:
    """The errors of a file system as ours, in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in _UNHOLDABLE and path.relative_to(root).parts[0] in (TREE, OTHER_TREES):
            raise UnholdableError(f"no file can lie there: {error.strerror}") from error
        raise SnapshotError(f"{root}: cannot write {path.name}: {error.strerror}") from error


def open_bundle(root: Path, asked: Asked, window: Interval, *, force: bool) -> Bundle:
    """DIR for a new snapshot, or for going on with one that was asked for in the same words.

    Going on keeps the window of the first run: `--last 24h` means the same hours every time. With `force` a finished
    snapshot, or one of another question, is begun again. A folder with anything of another kind in it is never touched.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in root.iterdir()}
        if names - _OURS:
            raise SnapshotError(f"--to: {root} holds other files ({min(names - _OURS)}): expected a folder of its own")
        if not force and MANIFEST in names and JOURNAL not in names:
            raise SnapshotError(
                f"--to: {root} holds a finished snapshot: give another folder, or --force to replace it"
            )
        journal = _open_journal(root / JOURNAL)
    except OSError as error:
        raise SnapshotError(f"--to: cannot write to {root}: {error.strerror}") from error
    try:
        return _begin(root, journal, asked, window, force=force)
    except BaseException:
        with contextlib.suppress(OSError):  # of a full disk, for what is still buffered
            journal.close()
        raise


def _begin(root: Path, journal: BinaryIO, asked: Asked, window: Interval, *, force: bool) -> Bundle:
    shutil.rmtree(root / PARTIAL, ignore_errors=True)
    with writing(root, root / PARTIAL):
        (root / PARTIAL).mkdir()
    lines = journal.read().split(b"\n")[:-1]  # what follows the last newline was being written when the run died
    if lines and not force:
        header, held = _parse(root, lines)
        if header.asked != asked:
            raise SnapshotError(
                f"--to: {root} holds an unfinished snapshot that was asked for in other words "
                f"({isoformat(header.start)} to {isoformat(header.end)}): give the same ones, or --force to begin again"
            )
        with writing(root, root / JOURNAL):
            journal.truncate(sum(len(line) + 1 for line in lines))
            journal.seek(0, os.SEEK_END)
        return Bundle(root, Interval(header.start, header.end), held, journal, folds=_folds(root / PARTIAL))
    with writing(root, root / JOURNAL):
        journal.seek(0)
        journal.truncate()
        journal.write(msgspec.json.encode(_Header(asked=asked, start=window.start, end=window.end)) + b"\n")
        journal.flush()
        for name in _WRITTEN:
            (root / name).unlink(missing_ok=True)
    return Bundle(root, window, {}, journal, folds=_folds(root / PARTIAL))


def _folds(folder: Path) -> bool:
    """Whether names in this empty folder are found whatever their case."""
    with writing(folder.parent, folder):
        probe = folder / "probe"
        probe.touch()
        found = (folder / "PROBE").exists()
        probe.unlink()
    return found


def _parse(root: Path, lines: list[bytes]) -> tuple[_Header, dict[str, File]]:
    try:
        header = msgspec.json.decode(lines[0], type=_Header)
        files = [msgspec.json.decode(line, type=File) for line in lines[1:]]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"--to: {root / JOURNAL} is no journal of a snapshot; --force begins again") from error
    return header, {file.path: file for file in files}


def _open_journal(path: Path) -> BinaryIO:
    """The journal, open for reading and writing, and ours alone while it is."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    journal = os.fdopen(os.open(path, flags, 0o666), "r+b")
    if sys.platform != "win32":
        import fcntl  # noqa: PLC0415  # there is none on Windows

        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            journal.close()
            raise SnapshotError(f"--to: another run is writing to {path.parent}") from None
    return journal
