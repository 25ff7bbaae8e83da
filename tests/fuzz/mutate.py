"""Spoils what comes from outside: bytes, text, JSON and XML, and the trees that they are read as. The seed decides."""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from tests.fuzz.odd import ODD, ODD_BYTES, ODD_TEXT

T = TypeVar("T")

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|\+00:00)")
_TIMES: Final = (
    *("2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T03:59:59.999999Z"),
    *("2026-01-01T00:00:00", "2026-01-01T00:00:00+05:30", "1970-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"),
)
_TAG: Final = re.compile(rb"<[^<>]*>")


class Mutator:
    """A source of changes. The same seed makes the same changes."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)

    def one(self, *choices: T) -> T:
        """Any of them."""
        return self.chance.choice(choices)

    def of(self, choices: Sequence[T]) -> T:
        """Any of a sequence."""
        return self.chance.choice(choices)

    def maybe(self, share: float) -> bool:
        """True in so many of all cases."""
        return self.chance.random() < share

    # Bytes.

    def data(self, data: bytes) -> bytes:
        """The bytes with one to three changes that know nothing of what they mean."""
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            data = self.of(self._BYTES)(self, data)
        return data

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return b"\x00"
        at = self.chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self.chance.randrange(8))]) + data[at + 1 :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self.chance.randrange(len(data) + 1)]

    def _behead(self, data: bytes) -> bytes:
        return data[self.chance.randrange(len(data) + 1) :]

    def _insert(self, data: bytes) -> bytes:
        at = self.chance.randrange(len(data) + 1)
        return data[:at] + self.of(ODD_BYTES) + data[at:]

    def _overwrite(self, data: bytes) -> bytes:
        at = self.chance.randrange(len(data) + 1)
        piece = self.of((*ODD_BYTES, self.chance.randbytes(self.chance.randrange(1, 9))))
        return data[:at] + piece + data[at + len(piece) :]

    def _drop(self, data: bytes) -> bytes:
        start, end = sorted(self.chance.randrange(len(data) + 1) for _ in range(2))
        return data[:start] + data[end:]

    def _repeat(self, data: bytes) -> bytes:
        start, end = sorted(self.chance.randrange(len(data) + 1) for _ in range(2))
        return data[:end] + data[start:end] + data[end:]

    def _noise(self, _: bytes) -> bytes:
        return self.chance.randbytes(self.chance.randrange(200))

    _BYTES: Final = (_flip, _flip, _flip, _cut, _behead, _insert, _insert, _overwrite, _drop, _repeat, _noise)

    # Text.

    def text(self, text: str) -> str:
        """A text with a change in it, or another one."""
        match self.chance.randrange(5):
            case 0:
                return self.of(ODD_TEXT)
            case 1:
                at = self.chance.randrange(len(text) + 1)
                return text[:at] + self.of(ODD_TEXT) + text[at:]
            case 2:
                start, end = sorted(self.chance.randrange(len(text) + 1) for _ in range(2))
                return text[:start] + text[end:]
            case 3:
                return text + text
            case _:
                if not text:
                    return self.of(ODD_TEXT)
                at = self.chance.randrange(len(text))
                other = chr(self.chance.choice((0, 10, 32, 47, 0x30, 0x39, 0x41, 0x7A, 0x7F, 0xD800, 0x2028, 0x1F512)))
                return text[:at] + other + text[at + 1 :]

    # Trees, as JSON is read.

    def like(self, value: Any) -> Any:  # noqa: PLR0911  # one case a change
        """A tree in which one leaf is another of its kind, or a list has one item more, less, or others first.

        It gets through where types are checked, and reaches what comes behind.
        """
        if isinstance(value, dict) and value:
            name = self.of(sorted(value))
            return {**value, name: self.like(value[name])}
        if isinstance(value, list) and value:
            at = self.chance.randrange(len(value))
            match self.chance.randrange(6):
                case 0:
                    return value[:at] + value[at + 1 :]
                case 1:
                    return [*value, value[at]]
                case 2:
                    return value[::-1]
                case _:
                    return [*value[:at], self.like(value[at]), *value[at + 1 :]]
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self.one(0, 1, -1, value + 1, value - 1, 24, 1_000_000, 2**53 - 1, 2**63 - 1)
        if isinstance(value, str) and _TIME.fullmatch(value):
            return self.of(_TIMES)
        if isinstance(value, bytes):
            return self.data(value)
        return self.text(value) if isinstance(value, str) else value

    def value(self, value: Any) -> Any:  # noqa: PLR0911  # one case a change
        """A tree in which one place is other than it was: odd, absent, doubled, or grown by what nobody knows."""
        if isinstance(value, dict) and value and self.maybe(0.85):
            name = self.of(sorted(value))
            match self.chance.randrange(8):
                case 0:
                    return {key: item for key, item in value.items() if key != name}
                case 1:
                    return {**value, self.text(str(name)): value[name]}
                case _:
                    return {**value, name: self.value(value[name])}
        if isinstance(value, list) and value and self.maybe(0.85):
            at = self.chance.randrange(len(value))
            match self.chance.randrange(8):
                case 0:
                    return value[:at] + value[at + 1 :]
                case 1:
                    return [*value, value[at]]
                case 2:
                    return value[::-1]
                case _:
                    return [*value[:at], self.value(value[at]), *value[at + 1 :]]
        if isinstance(value, str) and self.maybe(0.6):
            return self.text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.maybe(0.5):
            return self.one(value + 1, -value, value * 2, value * 10**6, 0)
        return self.one(self.of(ODD), self.of(ODD_TEXT))

    def json(self, data: bytes) -> bytes:
        """JSON that is changed as a tree, or as bytes, or spelt as few writers spell it."""
        if self.maybe(0.25):
            return self.data(data)
        value = json.loads(data)
        change = self.one(self.value, self.like)
        for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
            value = change(value)
        out = json.dumps(value, ensure_ascii=self.maybe(0.5)).encode("utf-8", "surrogatepass")
        match self.chance.randrange(24):
            case 0:  # every name twice, the second one counts
                return out.replace(b"{", b'{"schema":0,', 1)
            case 1:
                return out + b"\n" + out
            case 2:
                return b"\xef\xbb\xbf" + out
            case 3:
                return json.dumps(value).encode("utf-16")
            case _:
                return out

    # XML, as S3 answers.

    def xml(self, data: bytes) -> bytes:
        """XML that is changed by elements and their text, or as bytes."""
        if self.maybe(0.25):
            return self.data(data)
        for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
            data = self._element(data)
        return data

    def _element(self, data: bytes) -> bytes:  # noqa: PLR0911  # one case a change
        tags = list(_TAG.finditer(data))
        if not tags:
            return self.data(data)
        tag = self.of(tags)
        inner = re.escape(tag[0][1:-1].split(b" ")[0])
        whole = re.compile(rb"<%b(?: [^<>]*)?>(.*?)</%b>" % (inner, inner), re.DOTALL).search(data, tag.start())
        start, end = whole.span() if whole else tag.span()
        text = whole.span(1) if whole else (tag.end(), tag.end())
        match self.chance.randrange(9):
            case 0:
                return data[:start] + data[end:]
            case 1:
                return data[:end] + data[start:end] + data[end:]
            case 2 | 3 | 4:
                odd = self.text(data[slice(*text)].decode("utf-8", "replace"))
                said = odd.encode("utf-8", "surrogatepass")
                return data[: text[0]] + self.one(said, _escaped(said)) + data[text[1] :]
            case 5:
                other = self.one(b"Error", b"html", b"ListBucketResult", b"Contents", b"Key", b"x:Key")
                return data[: tag.start()] + b"<" + other + b">" + data[tag.end() :]
            case 6:
                return (
                    data[: tag.end()]
                    + self.one(b"<!-- -->", b"<![CDATA[x]]>", b"<?x?>", b"&#0;", b"<x/>")
                    + data[tag.end() :]
                )
            case 7:
                doctype = self.one(
                    b"<!DOCTYPE x>",
                    b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>",
                    b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>",
                )
                head = data.find(b"?>") + 2 if data.startswith(b"<?") else 0
                return data[:head] + doctype + data[head:]
            case _:
                return data.replace(b"http://s3.amazonaws.com/", self.one(b"http://www.w3.org/", b"", b"urn:"), 1)

    # Gzip.

    def gzipped(self, content: bytes) -> bytes:  # noqa: PLR0911  # one case a change
        """Content in a container that is right, or not quite."""
        body = gzip.compress(content, 1, mtime=0)
        match self.chance.randrange(14):
            case 0:
                return self.data(body)
            case 1:
                return body + self.one(b"\x00", body, b"trailing", gzip.compress(b""))
            case 2:
                return body[:-8] + bytes(8)
            case 3:
                return body[:-8]
            case 4:
                return self._header(body)
            case 5:
                return zlib.compress(content)
            case 6:
                return gzip.compress(body, mtime=0)
            case 7:
                return content
            case _:
                return body

    def _header(self, body: bytes) -> bytes:
        """Other flags: with the fields that they announce, or without."""
        flags = self.chance.randrange(256)
        fields = self.one(b"", b"\x04\x00abcd", b"name\x00", b"\xff\xff", b"n\x00c\x00", b"\x00\x00n\x00c\x00\x12\x34")
        return body[:3] + bytes([flags]) + body[4:10] + fields + body[10:]

    # Names.

    def key(self, key: str) -> str:
        """An S3 key with another segment, one more, one less, or a change in one."""
        parts = key.split("/")
        at = self.chance.randrange(len(parts))
        match self.chance.randrange(6):
            case 0:
                parts.insert(at, self.one("", ".", "..", self.of(ODD_TEXT)))
            case 1:
                del parts[at]
            case 2:
                parts[at] = self.text(parts[at])
            case 3:
                pieces = parts[-1].split("_")
                place = self.chance.randrange(len(pieces))
                pieces[place] = self.text(pieces[place])
                parts[-1] = "_".join(pieces)
            case 4:
                digits = [place for place, sign in enumerate(key) if sign.isdigit()]
                if not digits:
                    return self.text(key)
                place = self.of(digits)
                return key[:place] + self.of("0123456789٣") + key[place + 1 :]
            case _:
                return self.text(key)
        return "/".join(parts)

    def names(self, values: Mapping[str, str]) -> dict[str, str]:
        """Headers or metadata with one of them changed, gone, or in other case."""
        if not values:
            return {self.of(ODD_TEXT): self.of(ODD_TEXT)}
        name = self.of(sorted(values))
        rest = {key: value for key, value in values.items() if key != name}
        match self.chance.randrange(6):
            case 0:
                return rest
            case 1:
                return {**rest, self.one(name.upper(), name.title(), name + " "): values[name]}
            case 2:
                return {**values, self.text(name): self.text(values[name])}
            case _:
                return {**values, name: self.text(values[name])}


def _escaped(data: bytes) -> bytes:
    return data.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")


Change = Callable[[Mutator], T]
