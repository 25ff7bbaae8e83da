"""Where a copy lies and where it says it lies: one mapping, both ways, and what it takes for a copy."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.core.copies import (
    Displacement,
    agrees,
    combined,
    displacement,
    is_digest,
    options_for,
    rank,
    read_place,
    stated,
    trail_prefix,
)
from cloudtrail_validate.core.model import Locator

FILE = "111122223333/CloudTrail-Digest/us-east-1/2026/01/01/x.json.gz"
ROOT = f"AWSLogs/{FILE}"
PREFIXES = st.lists(st.sampled_from(["a", "b", "logs", "case 42", "ü", ""]), max_size=4).map(
    lambda parts: "".join(f"{part}/" for part in parts)
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://b", ("b", "")),
        ("s3://b/", ("b", "")),
        (" s3://b/p/q/ ", ("b", "p/q/")),
        ("b/p", ("b", "p")),
        ("s3://b/p//", ("b", "p//")),
        ("s3://", None),
        ("", None),
        ("https://b/p", None),
        ("arn:aws:s3:::b", None),
    ],
)
def test_a_place_is_read_as_it_was_typed(text: str, place: tuple[str, str] | None) -> None:
    assert read_place(text) == (Locator(*place) if place else None)


@pytest.mark.parametrize(
    ("lies", "says", "seen"),
    [
        (ROOT, ROOT, ("", "")),
        (f"logs/{ROOT}", f"logs/{ROOT}", ("", "")),
        (ROOT, f"logs/{ROOT}", ("", "logs/")),
        (ROOT, f"logs//{ROOT}", ("", "logs//")),
        (f"case/42/{ROOT}", ROOT, ("case/42/", "")),
        (f"case/{ROOT}", f"logs/{ROOT}", ("case/", "logs/")),
        (FILE, ROOT, ("", "AWSLogs/")),
        ("01/x.json.gz", ROOT, ("", "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/01/")),
        ("x.json.gz", ROOT, ("", ROOT.removesuffix("x.json.gz"))),
        (ROOT.replace("3333", "3334"), ROOT, None),  # another account's folder is no copy
        (ROOT.replace("us-east-1", "eu-west-1"), ROOT, None),
        (ROOT.replace("x.json", "y.json"), ROOT, None),
        (f"AWSLogs/kept/{ROOT}", ROOT, None),
        ("", ROOT, None),
    ],
)
def test_what_makes_a_copy(lies: str, says: str, seen: tuple[str, str] | None) -> None:
    found = displacement(Locator("here", lies), Locator("there", says))
    assert found == (Displacement("here", seen[0], "there", seen[1]) if seen else None)
    if found is not None:
        assert (found.original(lies), found.copied(says)) == (says, lies)


def test_in_a_folder_only_the_key_can_be_displaced() -> None:
    for bucket, moved in (("", False), ("there", False), ("here", True)):
        found = displacement(Locator(bucket, ROOT), Locator("there", ROOT))
        assert found is not None
        assert found.moved == moved
    assert displacement(Locator("", ROOT), Locator("", ROOT)) is None


@given(PREFIXES, PREFIXES, st.text(max_size=20))
def test_both_ways_are_one_mapping(here: str, there: str, rest: str) -> None:
    known = Displacement("x", here, "y", there)
    assert known.original(here + rest) == there + rest
    assert known.copied(there + rest) == here + rest
    for key in (here + rest, there + rest, rest):
        found = known.original(key)
        assert found is None or known.copied(found) == key


@given(PREFIXES, PREFIXES)
def test_what_a_digest_says_agrees_with_what_was_stated(here: str, there: str) -> None:
    seen = displacement(Locator("x", f"{here}{ROOT}"), Locator("y", f"{there}{ROOT}"))
    assert seen is not None
    prefix, of = here.removesuffix("/") or None, Locator("y", there)
    if there.strip("/"):
        assert any(agrees(seen, one) for one in stated("x", prefix, of))
    assert agrees(seen, Displacement("x", here, "y", there))
    assert not agrees(seen, Displacement("x", here, "z", there))
    assert not agrees(seen, Displacement("x", f"{here}other/", "y", there))


@pytest.mark.parametrize(
    ("prefix", "of", "lies", "says"),
    [
        (None, "s3://y", ROOT, ROOT),  # a replica
        ("logs", "s3://y", f"logs/{ROOT}", f"logs/{ROOT}"),  # of a trail with a prefix
        ("logs", "s3://y/logs", f"logs/{ROOT}", f"logs/{ROOT}"),
        ("case/42", "s3://y", f"case/42/{ROOT}", ROOT),  # a forensic copy
        ("case", "s3://y/logs", f"case/{ROOT}", f"logs/{ROOT}"),
        (None, "s3://y/logs", ROOT, f"logs/{ROOT}"),  # a sync of one prefix
        (None, "s3://y/logs/", ROOT, f"logs/{ROOT}"),
        (None, "s3://y/logs/", ROOT, f"logs//{ROOT}"),  # of a trail whose prefix ends in a slash
        (None, "s3://y/AWSLogs", FILE, ROOT),
        ("case", "s3://y/AWSLogs/111122223333", f"case/{FILE[13:]}", ROOT),
    ],
)
def test_one_option_says_each_of_these(prefix: str | None, of: str, lies: str, says: str) -> None:
    place, seen = read_place(of), displacement(Locator("x", lies), Locator("y", says))
    assert place is not None
    assert seen is not None
    assert any(agrees(seen, one) for one in stated("x", prefix, place))


@pytest.mark.parametrize(
    ("here", "there", "asked", "prefix"),
    [
        ("", "", None, None),
        ("", "", "logs", "logs"),
        ("case/", "", "case", None),
        ("case/", "logs/", "case", "logs"),
        ("", "logs/", None, "logs"),
        ("", "logs//", None, "logs/"),
        ("", "AWSLogs/", None, None),
        ("", "logs/AWSLogs/111122223333/", None, "logs"),
        ("case/", "logs//AWSLogs/", "case", "logs/"),
        ("case/", "logs/", "elsewhere", "logs"),
    ],
)
def test_the_trails_prefix_there(here: str, there: str, asked: str | None, prefix: str | None) -> None:
    assert trail_prefix(Displacement("x", here, "y", there), asked) == prefix


@given(PREFIXES, PREFIXES, PREFIXES, PREFIXES)
def test_seen_through_a_copy(here: str, there: str, lies: str, says: str) -> None:
    """What is displaced within what was taken for the original is displaced from where it really lies."""
    copy = Displacement("x", here, "y", there)
    through = copy.original(f"{here}{lies}{ROOT}")
    assert through is not None
    seen = displacement(Locator("y", through), Locator("z", f"{says}{ROOT}"))
    assert seen is not None
    real = combined(copy, seen)
    assert real.original(f"{here}{lies}{ROOT}") == f"{says}{ROOT}"
    assert (real.bucket, real.of_bucket) == ("x", "z")
    assert combined(None, seen) == seen


@pytest.mark.parametrize("place", ["$(touch x)", "a b", "'", "\u202e", "-rf"])
def test_the_options_to_give_survive_a_shell(place: str) -> None:
    seen = Displacement("x", f"{place}/", place, f"{place}/")
    assert shlex.split(options_for(seen, None)) == ["--s3-prefix", place, "--copy-of", f"s3://{place}/{place}"]
    assert shlex.split(options_for(seen, place)) == ["--copy-of", f"s3://{place}/{place}"]


def test_names_lead_to_digests() -> None:
    names = ["case", "03", "2026", "eu-west-1", "111122223333", "o-exampleorgid", "AWSLogs", "CloudTrail-Digest"]
    assert sorted(names, key=rank)[:2] == ["CloudTrail-Digest", "AWSLogs"]
    assert max(names, key=rank) == "case"
    assert is_digest("111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20260101T000000Z.json.gz")
    assert not is_digest("111122223333_CloudTrail_us-east-1_20260101T0000Z_abcdefghijklmnop.json.gz")
