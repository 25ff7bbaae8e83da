"""The wildcards of IAM policies, compared with each other: `*` for any characters, `?` for one.

A request is described by patterns as well ("any object below this folder"), so two questions are asked of two patterns:
does one cover all that the other describes, and do they have anything in common. Pure and total.
"""

from __future__ import annotations

from typing import Final

MAX_PATTERN: Final = 2_048  # characters; AWS's own limit for an ARN. Comparing takes time by the product of two lengths


def is_plain(pattern: str) -> bool:
    """Whether it describes one text only."""
    return "*" not in pattern and "?" not in pattern


def covers(pattern: str, other: str) -> bool:
    """Whether every text that `other` describes fits `pattern`.

    Never true by mistake; false for patterns above `MAX_PATTERN` and for some unions that only a proof would show.
    """
    if len(pattern) > MAX_PATTERN or len(other) > MAX_PATTERN:
        return pattern == "*"
    places = _skip({0}, pattern)
    for sign in other:
        following = {place for place in places if place < len(pattern) and pattern[place] == "*"}
        if sign != "*":  # what stands for any text is taken by a star alone
            following |= {
                place + 1
                for place in places
                if place < len(pattern) and pattern[place] != "*" and pattern[place] in ("?", sign)
            }
        places = _skip(following, pattern)
        if not places:
            return False
    return len(pattern) in places


def meets(pattern: str, other: str) -> bool:
    """Whether any text fits both. True for patterns above `MAX_PATTERN`, which are not compared."""
    if len(pattern) > MAX_PATTERN or len(other) > MAX_PATTERN:
        return True
    if is_plain(other):
        return covers(pattern, other)
    if is_plain(pattern):
        return covers(other, pattern)
    head, tail = pattern.partition("*")[0].partition("?")[0], other.partition("*")[0].partition("?")[0]
    if not head.startswith(tail) and not tail.startswith(head):
        return False  # the usual case, a hundred times as fast
    row = _first_row(other)
    for sign in pattern:
        row = _next_row(row, sign, other)
        if not any(row):
            return False
    return row[-1]


def narrower(pattern: str, other: str) -> str:
    """Return what two patterns have in common: the one that the other covers, `other` where neither is covered."""
    return pattern if covers(other, pattern) else other


def _skip(places: set[int], pattern: str) -> set[int]:
    """Add the places behind stars: a star may stand for nothing."""
    found = set(places)
    for place in places:
        following = place
        while following < len(pattern) and pattern[following] == "*":
            following += 1
            found.add(following)
    return found


def _first_row(other: str) -> list[bool]:
    """Which beginnings of `other` describe the empty text."""
    row = [True]
    for sign in other:
        row.append(row[-1] and sign == "*")
    return row


def _next_row(row: list[bool], sign: str, other: str) -> list[bool]:
    """`row[n]` is whether the pattern so far has a text in common with the first n signs of `other`; one sign further."""
    following = [row[0] and sign == "*"]
    for place, facing in enumerate(other):
        if sign == "*" or facing == "*":
            found = row[place + 1] or following[place]
        else:
            found = row[place] and (sign == facing or "?" in (sign, facing))
        following.append(found)
    return following
