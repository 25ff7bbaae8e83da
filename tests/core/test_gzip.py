"""What a gzip object's content is: any size, any cut into pieces, any damage; in bounded memory whatever it holds."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core import digest, rules
from cloudtrail_validate.core.gzip import INFLATE_CHUNK, Content, Flaw, Inflater, digest_of, digest_of_pieces
from cloudtrail_validate.engine.log_checker import judge_content

SMALL = b'{"Records":[]}'
MEMBER = gzip.compress(SMALL, mtime=0)
EDGES = [
    edge + off
    for edge in (0, 1 << 15, 1 << 16, INFLATE_CHUNK, 2 * INFLATE_CHUNK)
    for off in (-1, 0, 1)
    if edge + off >= 0
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def whole(data: bytes) -> Content:
    return Content(sha256(data), len(data))


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same for the same size."""
    return hashlib.shake_128(size.to_bytes(8)).digest(size)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


# -- intact members ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("size", EDGES)
def test_sizes_around_every_buffer(size: int, level: int) -> None:
    for data in (noise(size), bytes(size)):
        body = gzip.compress(data, level, mtime=0)
        assert digest_of(body) == whole(data)
        assert digest_of(body + b"\0") == Content(sha256(data), size, Flaw.TRAILING)
        assert digest_of_pieces(pieces(body, [-9, -8, -1, 10, 1000])) == whole(data)


@given(
    st.binary(max_size=2000),
    st.integers(0, 9),
    st.lists(st.integers(0, 10_000), max_size=8),
    st.sampled_from([b"", b"", b"\0", b"x", MEMBER, MEMBER[:9], bytes(600)]),
    st.booleans(),
)
def test_any_cut_into_pieces_is_the_same_object(
    data: bytes, level: int, cuts: list[int], tail: bytes, plain: bool
) -> None:
    body = gzip.compress(data, level) + tail
    expected = Content(sha256(data), len(data), Flaw.TRAILING if tail else None)
    assert digest_of(body, accept_plain=plain) == expected
    assert digest_of_pieces(pieces(body, cuts), accept_plain=plain) == expected


@pytest.mark.parametrize("around", [-1, 0, 1])
@pytest.mark.parametrize("tail", [b"", b"x", MEMBER])
def test_cuts_at_the_end_of_a_chunk(around: int, tail: bytes) -> None:
    data = bytes(INFLATE_CHUNK + around)
    body = gzip.compress(data, 9) + tail
    expected = Content(sha256(data), len(data), Flaw.TRAILING if tail else None)
    for cut in range(len(body) - len(tail) - 12, len(body) + 1):
        assert digest_of_pieces(pieces(body, [cut])) == expected


def test_a_header_with_all_its_extras() -> None:
    deflated = zlib.compressobj(wbits=-15)
    raw = deflated.compress(SMALL) + deflated.flush()
    trailer = zlib.crc32(SMALL).to_bytes(4, "little") + len(SMALL).to_bytes(4, "little")
    header = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x03\x00abc" + b"name\0" + b"comment\0"
    assert digest_of(header + raw + trailer) == whole(SMALL)


def with_header(method: int, flags: int, *, checked: bool = True) -> bytes:
    """A member with that method and those flags, and every field that the flags announce."""
    deflated = zlib.compressobj(wbits=-15)
    raw = deflated.compress(SMALL) + deflated.flush()
    header = b"\x1f\x8b" + bytes([method, flags]) + bytes(6)
    header += (b"\x03\x00abc" if flags & 4 else b"") + (b"name\0" if flags & 8 else b"")
    header += b"comment\0" if flags & 16 else b""
    if flags & 2:
        header += ((zlib.crc32(header) & 0xFFFF) ^ (not checked)).to_bytes(2, "little")
    return header + raw + zlib.crc32(SMALL).to_bytes(4, "little") + len(SMALL).to_bytes(4, "little")


def zlib_takes(body: bytes) -> bool:
    member = zlib.decompressobj(wbits=31)
    try:
        return member.decompress(body) == SMALL and member.eof
    except zlib.error:
        return False


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("flags", range(256))
def test_what_zlib_refuses_in_a_header_is_damage(flags: int, checked: bool) -> None:
    """The reserved bits among them, which other readers pass over."""
    body = with_header(8, flags, checked=checked)
    expected = None if zlib_takes(body) else Flaw.DAMAGED
    assert (expected is Flaw.DAMAGED) == bool(flags & 0xE0 or (flags & 2 and not checked))
    assert digest_of(body).flaw is expected
    assert digest_of(body, accept_plain=True).flaw is expected
    assert digest_of_pieces(body[at : at + 1] for at in range(len(body))).flaw is expected


@pytest.mark.parametrize("method", [0, 7, 9, 255])
def test_another_method_is_damage(method: int) -> None:
    assert not zlib_takes(with_header(method, 0))
    assert digest_of(with_header(method, 0)).flaw is Flaw.DAMAGED


def test_every_byte_on_its_own() -> None:
    assert digest_of_pieces(bytes([byte]) for byte in MEMBER) == whole(SMALL)
    assert digest_of_pieces([b"", MEMBER[:1], b"", MEMBER[1:], b""]) == whole(SMALL)


# -- flaws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", range(len(MEMBER)))
def test_truncation_at_every_byte(end: int) -> None:
    expected = Flaw.NOT_GZIP if end < 2 else Flaw.TRUNCATED
    assert digest_of(MEMBER[:end]).flaw is expected
    assert digest_of_pieces([MEMBER[:end], b""]).flaw is expected


@pytest.mark.parametrize("index", range(len(MEMBER) - 8, len(MEMBER)))
@pytest.mark.parametrize("pieced", [False, True])
def test_a_wrong_checksum_or_length(index: int, pieced: bool) -> None:
    body = bytearray(MEMBER)
    body[index] ^= 1
    found = digest_of_pieces(bytes([byte]) for byte in body) if pieced else digest_of(bytes(body))
    assert found.flaw is Flaw.DAMAGED


@given(st.integers(0, len(MEMBER) - 1), st.integers(1, 255), st.booleans())
def test_a_changed_byte_never_yields_other_content_without_a_flaw(index: int, change: int, plain: bool) -> None:
    body = bytearray(MEMBER)
    body[index] ^= change
    found = digest_of(bytes(body), accept_plain=plain)
    assert found.flaw is not None or found in (whole(SMALL), whole(bytes(body)))
    if index < 2:
        assert found == (whole(bytes(body)) if plain else Content(sha256(b""), 0, Flaw.NOT_GZIP))


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
def test_what_is_no_gzip(data: bytes, cuts: list[int]) -> None:
    if data[:2] == b"\x1f\x8b":
        data = b"x" + data
    assert digest_of_pieces(pieces(data, cuts)) == Content(sha256(b""), 0, Flaw.NOT_GZIP)
    assert digest_of_pieces(pieces(data, cuts), accept_plain=True) == whole(data)


def test_nothing_at_all() -> None:
    assert digest_of(b"").flaw is Flaw.NOT_GZIP
    assert digest_of_pieces([]) == digest_of(b"")
    assert digest_of(b"", accept_plain=True) == whole(b"")
    assert digest_of(b"\x1f", accept_plain=True) == whole(b"\x1f")


def test_plain_is_not_accepted_where_it_looks_like_gzip() -> None:
    assert digest_of(b"\x1f\x8bnot really", accept_plain=True).flaw is Flaw.DAMAGED


def test_what_follows_damage_does_not_matter() -> None:
    body = bytearray(MEMBER)
    body[-1] ^= 1
    assert digest_of_pieces([bytes(body), MEMBER, b"x"]).flaw is Flaw.DAMAGED


def test_a_second_member_is_not_part_of_the_content() -> None:
    other = gzip.compress(b"other")
    assert gzip.decompress(MEMBER + other) == SMALL + b"other"  # what a reader that joins members would see
    assert digest_of(MEMBER + other) == Content(sha256(SMALL), len(SMALL), Flaw.TRAILING)


# -- keeping and limits -----------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000), st.lists(st.integers(0, 5000), max_size=4))
def test_kept_is_what_was_hashed(data: bytes, cuts: list[int]) -> None:
    inflater = Inflater(keep=True)
    for piece in pieces(gzip.compress(data), cuts):
        inflater.feed(piece)
    assert inflater.finish() == whole(data)
    assert inflater.kept() == data


def test_nothing_is_kept_unasked() -> None:
    inflater = Inflater()
    inflater.feed(MEMBER)
    assert inflater.kept() == b""


@pytest.mark.parametrize(("limit", "flaw"), [(len(SMALL), None), (len(SMALL) - 1, Flaw.TOO_LARGE), (0, Flaw.TOO_LARGE)])
@pytest.mark.parametrize("body", [MEMBER, SMALL])
def test_the_limit_is_the_largest_size_allowed(limit: int, flaw: Flaw | None, body: bytes) -> None:
    inflater = Inflater(accept_plain=True, keep=True, limit=limit)
    inflater.feed(body)
    inflater.feed(b"")
    assert inflater.finish().flaw is flaw


def test_beyond_the_limit_nothing_more_is_inflated() -> None:
    inflater = Inflater(keep=True, limit=2 * INFLATE_CHUNK)
    inflater.feed(gzip.compress(bytes(40 * INFLATE_CHUNK), 1))
    found = inflater.finish()
    assert found.flaw is Flaw.TOO_LARGE
    assert found.size <= 3 * INFLATE_CHUNK
    assert len(inflater.kept()) <= 2 * INFLATE_CHUNK


@pytest.mark.parametrize("cut", [None, 1, 100])
def test_what_may_be_kept_follows_from_what_was_read(cut: int | None) -> None:
    """Whatever size a listing claims: a digest shrinks 4 to 9 times, so one that inflates 32 times is none."""
    small, bomb = gzip.compress(noise(40_000)), gzip.compress(bytes(4_000_000))
    for body, flaw in ((small, None), (bomb, Flaw.TOO_LARGE)):
        inflater = digest.inflater(10**12)
        for at in range(0, len(body), cut or len(body)):
            inflater.feed(body[at : at + (cut or len(body))])
        assert inflater.finish().flaw is flaw
        assert len(inflater.kept()) <= digest.most_bytes(len(body))


BOMB = """
import hashlib, resource, sys, zlib
from cloudtrail_validate.core.gzip import Inflater
bomb, zero, plain = zlib.compressobj(6, wbits=31), bytes(1 << 20), hashlib.sha256()
body = b"".join([*(bomb.compress(zero) for _ in range(400)), bomb.flush()])
for _ in range(400):
    plain.update(zero)
inflater = Inflater()
inflater.feed(body)  # at once: nothing but the inflater itself bounds what comes out
found = inflater.finish()
assert found.size == 400 << 20, found
assert found.flaw is None, found
assert found.sha256 == plain.hexdigest()
unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes here
print(len(body), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


# A process begins with the peak of the one it was forked from, and this one has run other tests: a small one between.
FRESH = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is of Unix")
def test_a_bomb_is_hashed_in_bounded_memory() -> None:
    command = [sys.executable, "-c", FRESH, BOMB]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    compressed, peak = map(int, run.stdout.split())
    assert compressed < 500_000
    assert peak < 100 * 1024 * 1024


# -- logs -------------------------------------------------------------------------------------------------------------

RIGHT, WRONG = sha256(SMALL), sha256(b"other")


@pytest.mark.parametrize(
    ("expected", "content", "rule"),
    [
        (RIGHT, digest_of(MEMBER), None),
        (RIGHT.upper(), digest_of(MEMBER), None),
        (WRONG, digest_of(MEMBER), rules.LOG_ALTERED),
        ("", digest_of(MEMBER), rules.LOG_ALTERED),
        (RIGHT, digest_of(MEMBER + b"x"), rules.LOG_TRAILING_DATA),
        (RIGHT, digest_of(MEMBER * 2), rules.LOG_TRAILING_DATA),
        (WRONG, digest_of(MEMBER + b"x"), rules.LOG_ALTERED),
        # The content of a cut trailer is all there; the container is damaged none the less.
        (RIGHT, digest_of(MEMBER[:-1]), rules.LOG_MALFORMED),
        (RIGHT, digest_of(MEMBER[:-8] + bytes(8)), rules.LOG_MALFORMED),
        (WRONG, digest_of(MEMBER[:-1]), rules.LOG_MALFORMED),
        (RIGHT, digest_of(SMALL), rules.LOG_MALFORMED),
        (RIGHT, digest_of(SMALL, accept_plain=True), None),
        (RIGHT, digest_of(SMALL + b" ", accept_plain=True), rules.LOG_ALTERED),
        (RIGHT, digest_of(b""), rules.LOG_MALFORMED),
        (sha256(b""), digest_of(b""), rules.LOG_MALFORMED),
    ],
)
def test_what_a_logs_content_breaks(expected: str, content: Content, rule: str | None) -> None:
    assert judge_content(expected, content) == rule
