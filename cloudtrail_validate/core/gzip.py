"""Inflate and hash: what a gzip object's content is, in bounded memory.

CloudTrail hashes the *inflated* content of one gzip member (User Guide, "CloudTrail digest file structure"). Anything after
the member is an alteration, because readers that concatenate members would see other bytes than were signed. A missing or
wrong trailer is damage to the container. Pure: bytes in, values out; nothing is raised on hostile content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, Protocol, cast

import msgspec
from isal import igzip_lib, isal_zlib

GZIP_MAGIC: Final = b"\x1f\x8b"
_HEAD: Final = 4  # bytes: the magic, the method and the flags
_BARE: Final = b"\x1f\x8b\x08\x00"  # these bytes of a header that announces no fields, as nearly all are
_DEFLATE: Final = 8  # the one method there is (RFC 1952, 2.3.1: CM)
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16  # bits of FLG, each of which announces a field of the header
_FIXED: Final = 10  # bytes of a header without such fields
_MOST_HEADER: Final = 1 << 20  # bytes; the extra field has at most 64 KiB, names and comments end somewhere
_RESERVED: Final = 0xE0  # bits of FLG that must be zero (RFC 1952, 2.3.1.2); isal does not look, zlib and gunzip refuse
_GZIP_WBITS: Final = 31  # zlib's code for "one gzip member, check its CRC and length"
_IsalError = cast("type[Exception]", igzip_lib.IsalError)  # its stub says instance, not class
INFLATE_CHUNK: Final = 1 << 20  # bytes inflated at a time: bounds memory whatever a member claims to inflate to


class Flaw(Enum):
    """Names the faults of a gzip container, whatever its content hashes to."""

    NOT_GZIP = "not gzip"
    DAMAGED = "gzip stream is damaged"
    TRUNCATED = "gzip stream ends too early"
    TRAILING = "bytes after the gzip member"
    TOO_LARGE = "inflates to more than can be a digest"
    SPECIAL = "a special file lies in its place"  # a pipe, socket or device in a local copy: S3 has none


class Content(msgspec.Struct, frozen=True):
    """SHA-256 (lower-case hex) and length in bytes of the inflated content, and the container's flaw, if any.

    With `TRAILING` the hash is that of the first member; with the other flaws it is that of what could be inflated.
    """

    sha256: str
    size: int
    flaw: Flaw | None = None


class Inflater:
    """Inflates one gzip member piece by piece and hashes it; `finish()` says what it was.

    With `accept_plain` content that is no gzip at all is hashed as it is: copy tools that honour Content-Encoding store
    logs inflated. `limit` bounds the inflated bytes; with `most` they are bounded by what it makes of the bytes read so
    far, whatever size a listing claimed.
    """

    __slots__ = (
        "_accept_plain",
        "_fed",
        "_flaw",
        "_hash",
        "_head",
        "_inflate",
        "_keep",
        "_limit",
        "_most",
        "_plain",
        "_size",
    )

    def __init__(
        self,
        *,
        accept_plain: bool = False,
        keep: bool = False,
        limit: int | None = None,
        most: Callable[[int], int] | None = None,
    ) -> None:
        self._hash = hashlib.sha256()
        self._inflate = isal_zlib.decompressobj(wbits=_GZIP_WBITS)
        self._keep: list[bytes] | None = [] if keep else None
        self._limit = limit
        self._most = most
        self._fed = 0
        self._size = 0
        self._flaw: Flaw | None = None
        self._head = b""
        self._plain: bool | None = None
        self._accept_plain = accept_plain

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the object."""
        self._fed += len(data)
        if self._plain is None:
            self._head += data
            if not _header_is_whole(self._head):
                return
            data, self._head = self._head, b""
            self._begin(data)
        if self._flaw in (Flaw.NOT_GZIP, Flaw.DAMAGED, Flaw.TOO_LARGE):
            return
        if self._plain:
            self._take(data)
        else:
            self._inflate_all(data)

    def refuse(self, flaw: Flaw) -> None:
        """Refuse an object that holds no content at all, so that there is nothing to feed."""
        self._plain, self._flaw = False, flaw

    def finish(self) -> Content:
        """Say what the object was."""
        flaw = self._flaw
        if self._plain is None:
            if self._head.startswith(GZIP_MAGIC):
                flaw = Flaw.TRUNCATED
            elif self._accept_plain:
                self._take(self._head)
            else:
                flaw = Flaw.NOT_GZIP
        elif not self._plain and flaw is None and not self._inflate.eof:
            flaw = Flaw.TRUNCATED
        return Content(self._hash.hexdigest(), self._size, flaw)

    def kept(self) -> bytes:
        """Return the inflated bytes, where `keep` asked for them."""
        return b"".join(self._keep or ())

    def _begin(self, data: bytes) -> None:
        """Look at the first bytes: what sort of content this is."""
        if data.startswith(_BARE):
            self._plain = False
            return
        self._plain = not data.startswith(GZIP_MAGIC)
        if self._plain:
            self._flaw = None if self._accept_plain else Flaw.NOT_GZIP
        elif data[2] != _DEFLATE or data[3] & _RESERVED or not _has_header(data):
            self._flaw = Flaw.DAMAGED

    def _inflate_all(self, data: bytes) -> None:
        inflate = self._inflate
        full = False  # the last piece filled the chunk: more may come without more input
        while (data or full) and self._flaw is None:
            if inflate.eof:
                self._flaw = Flaw.TRAILING if data else None
                return
            try:
                piece = inflate.decompress(data, INFLATE_CHUNK)
            except _IsalError:
                self._flaw = Flaw.DAMAGED
                return
            self._take(piece)
            if inflate.eof and inflate.unused_data and self._flaw is None:
                self._flaw = Flaw.TRAILING
            full = len(piece) == INFLATE_CHUNK
            data = inflate.unconsumed_tail

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        bound = self._limit if self._most is None else self._most(self._fed)
        if bound is not None and self._size > bound:
            self._flaw = Flaw.TOO_LARGE
            return
        self._hash.update(piece)
        if self._keep is not None:
            self._keep.append(piece)


class MakeInflater(Protocol):
    """Makes the inflater that takes one log: `Inflater` itself, or a kind that looks at what passes through."""

    def __call__(self, *, accept_plain: bool) -> Inflater:
        """Return a new inflater, called for each attempt to read; `accept_plain` as `Inflater` has it."""
        ...


def _header_is_whole(head: bytes) -> bool:
    """Tell whether an object's first bytes hold all of a gzip header, or cannot become one.

    isal takes a header whose fields are cut in two for damage, so it is given the whole at once.
    """
    if head.startswith(_BARE):
        return len(head) >= _FIXED
    if len(head) < _HEAD:
        return GZIP_MAGIC[: len(head)] != head[: len(GZIP_MAGIC)]
    plain = not head.startswith(GZIP_MAGIC)
    return plain or bool(head[3] & _RESERVED) or len(head) > _MOST_HEADER or _has_header(head)


def _has_header(head: bytes) -> bool:
    """Tell whether the fields that a gzip header announces are all there (RFC 1952, 2.3)."""
    flags, at = head[3], _FIXED
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for field in (_FNAME, _FCOMMENT):
        if flags & field:
            end = head.find(0, at)
            if end < 0:
                return False
            at = end + 1
    return len(head) >= at + (2 if flags & _FHCRC else 0)


def digest_of(data: bytes, *, accept_plain: bool = False, make: MakeInflater = Inflater) -> Content:
    """Return the content of a whole object held in memory."""
    inflater = make(accept_plain=accept_plain)
    inflater.feed(data)
    return inflater.finish()


def digest_of_pieces(pieces: Iterable[bytes], *, accept_plain: bool = False) -> Content:
    """Return the content of an object that comes in pieces."""
    inflater = Inflater(accept_plain=accept_plain)
    for piece in pieces:
        inflater.feed(piece)
    return inflater.finish()
