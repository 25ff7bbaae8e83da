"""Whoever can write a state can write anything with a checksum that fits: it is refused in one line, or harmless."""

from __future__ import annotations

import hashlib
import random
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.model import Interval, Locator
from cloudtrail_validate.state import codec
from cloudtrail_validate.state.codec import SCHEMA, decode, encode, read
from cloudtrail_validate.state.model import DAY, State
from cloudtrail_validate.state.view import view_of
from tests.state.test_model import NOW, edge, state, stretch

WHOLE = state(stretch(5), stretch(DAY, length=DAY), edges=(edge(1),))
NAIVE = NOW.replace(tzinfo=None)
REGION, FOUND = WHOLE.regions[0], WHOLE.open[0]


def packed(content: Any) -> bytes:
    """A file with any content whose checksum fits."""
    body = zlib.compress(content if isinstance(content, bytes) else msgspec.msgpack.encode(content))
    return b"\n".join((SCHEMA.encode(), hashlib.sha256(body).hexdigest().encode(), b"unsigned", body))


def region(**changes: Any) -> State:
    return replace(WHOLE, regions=(replace(REGION, **changes),))


def finding(**changes: Any) -> State:
    return replace(WHOLE, open=(replace(FOUND, **changes),))


HOSTILE = {
    "a name that leads elsewhere": region(account="../../etc/passwd"),
    "no account": region(account=""),
    "an organization that is a path": region(organization_id="../x"),
    "a long region": region(region="r" * 10_000),
    "an hour after all years": region(stretches=(stretch(10**12),)),
    "an hour before all years": region(stretches=(stretch(-5),)),
    "a stretch of ages": region(stretches=(stretch(0, length=10**9),)),
    "a day that begins at one": region(stretches=(stretch(1, length=DAY),)),
    "stretches that overlap": region(stretches=(stretch(0, length=DAY), stretch(3))),
    "a short fingerprint": region(stretches=(replace(stretch(5), fingerprint=b"x"),)),
    "less than nothing": region(stretches=(replace(stretch(5), logs=-1),)),
    "read before all years": region(stretches=(replace(stretch(5), read=-1),)),
    "unproven for ages": region(unproven=((0, 60_000_000),)),
    "unproven backwards": region(unproven=((9, 5),)),
    "unproven after all years": region(unproven=((10**15, 10**15 + 1),)),
    "what is owed and not there": region(owed=(77,)),
    "late logs of no time": region(late=((1, 2, 10**14),)),
    "an edge of no year": region(edges=(replace(edge(1), end=datetime.max.replace(tzinfo=UTC)),)),
    "an edge of no zone": region(edges=(replace(edge(1), end=NAIVE),)),
    "regions twice": replace(WHOLE, regions=(REGION, REGION)),
    "a rule that nobody knows": finding(rule="x"),
    "a key without end": finding(where=Locator("b", "k" * 100_000)),
    "hours of no zone": finding(interval=Interval(NAIVE, NAIVE + timedelta(days=1))),
    "hours of no year": finding(interval=Interval(NOW, datetime.max.replace(tzinfo=UTC))),
    "hours backwards": finding(interval=Interval(NOW, NOW - timedelta(hours=1))),
    "seen never": finding(times=0),
    "saved in no zone": replace(WHOLE, saved=NAIVE),
    "runs backwards": replace(WHOLE, runs=-1),
    "no state": b"\x93\x01\x02\x03",
    "nothing": b"",
    "nested without end": b"\x91" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\A--state: x is damaged[^\n]*\Z"):
        decode(packed(HOSTILE[name]), "x")


def test_the_whole_one_passes() -> None:
    assert decode(packed(WHOLE), "x") == WHOLE


def test_what_inflates_without_end_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_INFLATED", 10_000)
    with pytest.raises(ConfigurationError, match="x is too large"):
        decode(packed(b"\x00" * 1_000_000), "x")


def test_more_than_can_be_read_back_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_INFLATED", 100)
    with pytest.raises(ConfigurationError, match="expected a folder"):
        encode(WHOLE)


def test_any_bytes_are_a_state_or_one_line() -> None:
    """Content with flipped bytes under a checksum that fits: nothing else is raised, and what passes can be shown."""
    content, chance = msgspec.msgpack.encode(WHOLE), random.Random(5)
    lines: list[str] = []
    for _ in range(3_000):
        broken = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            held = read(packed(bytes(broken)), "x").state
        except ConfigurationError as error:
            lines.append(str(error))
        else:
            assert view_of(held, "x", 1, None, checked=False).target == "x"
    assert lines
    assert not any("\n" in line for line in lines)
