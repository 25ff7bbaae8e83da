"""Copies of what is verified, byte for byte, while it is read: to be proven again later, without AWS.

    DIR/tree/KEY        every file that was read, under its key
    DIR/keys.json       the public keys that the sign files name
    DIR/report.json     the report
    DIR/SHA256SUMS      for `sha256sum -c`

`ctvalidate lake DIR/tree --public-keys DIR/keys.json` verifies it again. A disk that is full ends the copying and never
the verification: `failure` says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.portable import is_foreign
from cloudtrail_validate.report.json import render
from cloudtrail_validate.runtime.files import Draft, write_whole
from cloudtrail_validate.stores.key_file import write_keys

if TYPE_CHECKING:
    from cloudtrail_validate.core.signature import PublicKey
    from cloudtrail_validate.report import Report

TREE: Final = "tree"
_LONGEST: Final = 240  # bytes of a path's part; most file systems hold 255


class Copies:
    """A folder that copies go to. `left_out` are keys that no file can safely have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []
        self.failure: str | None = None
        self._sums: dict[str, str] = {}

    def check(self) -> None:
        """Make the folder. Raises `RequestError` where it cannot be made, or holds something."""
        try:
            (self.folder / TREE).parent.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise RequestError(f"--to: expected a new or empty folder, got {str(self.folder)!r}")
            (self.folder / TREE).mkdir()
        except OSError as error:
            raise RequestError(f"--to: cannot make {str(self.folder)!r}: {error.strerror}") from error

    def draft(self) -> Draft | None:
        """A file in the making, None where copying has ended."""
        try:
            return None if self.failure else Draft(self.folder)
        except OSError as error:
            self._fail(error)
            return None

    def write(self, draft: Draft, data: bytes) -> None:
        """Take the next bytes. Called on threads, one for each draft."""
        try:
            draft.file.write(data)
        except (OSError, ValueError) as error:  # a draft that another failure has closed is a ValueError
            self._fail(error)

    def place(self, draft: Draft, key: str, sha256: str) -> None:
        """The file is whole: give it its name."""
        parts = [part for part in key.split("/") if part]
        if not parts or not all(map(_is_safe, parts)):
            self.left_out.append(key)
            draft.discard()
            return
        path = self.folder.joinpath(TREE, *parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.finish(sync=False)
            draft.place(path, replace=False)
        except (OSError, ValueError) as error:
            self._fail(error)
        else:
            self._sums["/".join((TREE, *parts))] = sha256

    def finish(self, report: Report, keys: Iterable[PublicKey]) -> None:
        """Write keys, report and sums."""
        document = render(report)
        try:
            write_whole(self.folder / "keys.json", write_keys(keys))
            write_whole(self.folder / "report.json", document)
            lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(self._sums.items()))
            write_whole(self.folder / "SHA256SUMS", lines)
        except OSError as error:
            self._fail(error)

    @property
    def files(self) -> int:
        """How many files were copied."""
        return len(self._sums)

    def _fail(self, error: OSError | ValueError) -> None:
        if self.failure is None:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self.failure = f"cannot write to {self.folder}: {reason}"


def _is_safe(part: str) -> bool:
    """Whether a part of a key is a file's name everywhere, and stays in its folder."""
    try:
        data = part.encode("utf-8")
    except UnicodeEncodeError:
        return False
    plain = part.isprintable() and part not in (".", "..") and not is_foreign(part, windows=True)
    return plain and len(data) <= _LONGEST
