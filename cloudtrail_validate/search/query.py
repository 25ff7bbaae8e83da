"""What is asked of each event: filters that are and-ed, each with values that are or-ed.

Values of `events`, `event_sources`, `users`, `errors` may hold `*` and `?`. Everything is checked when a query is compiled,
before anything is read. Pure.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.search import glob
from cloudtrail_validate.search.event import Event, value_of
from cloudtrail_validate.search.expression import TooLongError, compile_expression
from cloudtrail_validate.search.prefilter import Needle, Prefilter, Values, anywhere, beginnings
from cloudtrail_validate.search.uses import USES, needle_of

_MOST_VALUES: Final = 1_000  # of one filter; lists of indicators have some hundred
_FEW: Final = 2  # addresses that are looked for one by one
_GIVEN_UP: Final = 100  # events from which on an expression is not tried any more: each took ~10 ms or more
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Test = Callable[[Event], bool]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The filters. Empty ones ask for nothing, so that an empty query finds every event.

    `read_only` None asks for both; `where` is a JMESPath expression on the whole event; `uses` are names in `uses.USES`.
    """

    events: tuple[str, ...] = ()
    event_sources: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    access_keys: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    read_only: bool | None = None
    where: str | None = None
    uses: tuple[str, ...] = ()


class GivenUpError(Exception):
    """Whether an event is a hit could not be decided: the expression took too long on it, or on too many before."""


class Matcher:
    """A compiled query. `bucket` is the one that the trail writes to, empty where that is not known.

    Raises `RequestError` for values that cannot be meant.
    """

    def __init__(self, query: Query, bucket: str = "", *, further: Iterable[Needle | Values | None] = ()) -> None:
        _check(query)
        self._tests, needles = _compiled(query)
        self._uses = query.uses
        self._bucket = bucket
        self._where = compile_expression(query.where) if query.where is not None else None
        self._given_up = 0
        literals = self._where.literals if self._where else ()
        self.prefilter = Prefilter([*needles, *further, *(anywhere([text]) for text in literals)])

    def matches(self, event: Event, raw: bytes) -> tuple[str, ...] | None:
        """Return None where an event is no hit, else the named questions that it answers. Raises `GivenUpError`."""
        if not all(test(event) for test in self._tests):
            return None
        uses = self._uses_of(event)
        if uses is None or (self._where is not None and not self._holds(self._where.holds, raw)):
            return None
        return uses

    def _uses_of(self, event: Event) -> tuple[str, ...] | None:
        """The named questions that an event answers, None where it answers none of those asked."""
        if not self._uses:
            return ()
        return tuple(name for name in self._uses if USES[name].test(event, self._bucket)) or None

    def _holds(self, where: Callable[[Any, int], bool], raw: bytes) -> bool:
        if self._given_up >= _GIVEN_UP:
            raise GivenUpError
        try:
            return where(value_of(raw), len(raw))
        except TooLongError:
            self._given_up += 1
            raise GivenUpError from None


def _check(query: Query) -> None:
    for name in msgspec.structs.fields(Query):
        values = getattr(query, name.name)
        if isinstance(values, tuple) and (len(values) > _MOST_VALUES or any(not value.strip() for value in values)):
            raise RequestError(f"a filter has at most {_MOST_VALUES:,} values, and none of them is empty")
    for use in query.uses:
        if use not in USES:
            near = difflib.get_close_matches(use, USES, n=1)
            known = f"did you mean {near[0]}?" if near else "expected one of " + ", ".join(USES)
            raise RequestError(f"--use: no such question {use!r}: {known}")


def _compiled(query: Query) -> tuple[list[Test], list[Needle | Values | None]]:
    """The tests, cheap ones first, and what each of them must find in a log's bytes."""
    tests: list[Test] = []
    needles: list[Needle | Values | None] = []

    def ask(values: tuple[str, ...], test: Test, needle: Needle | Values | None) -> None:
        if values:
            tests.append(test)
            needles.append(needle)

    named = glob.matcher(query.events)
    ask(query.events, lambda event: named(event.name), beginnings("eventName", query.events))
    sources = tuple(_source(value) for value in query.event_sources)
    from_ = glob.matcher(sources)
    ask(sources, lambda event: from_(event.source), beginnings("eventSource", sources))
    ids = frozenset(query.event_ids)
    ask(query.event_ids, lambda event: event.id in ids, beginnings("eventID", query.event_ids))
    keys = frozenset(query.access_keys)
    ask(query.access_keys, lambda event: _has_key(event, keys), anywhere(query.access_keys))
    failed = glob.matcher(query.errors)
    ask(
        query.errors,
        lambda event: event.error is not None and failed(event.error),
        beginnings("errorCode", query.errors) or Needle([("", "errorCode")]),
    )
    if query.read_only is not None:
        wanted = query.read_only
        tests.append(lambda event: event.reads is wanted)
    networks = tuple(_network(text) for text in query.addresses)
    ask(query.addresses, lambda event: _comes_from(event.address, networks), _address_needle(query.addresses))
    called = glob.matcher(query.users)
    users = query.users
    ask(users, lambda event: event.identity is not None and any(map(called, event.identity.names)), _user_needle(users))
    ask(query.resources, lambda event: _touches(event, query.resources), anywhere(query.resources))
    needles.append(needle_of(query.uses))
    return tests, needles


def _source(value: str) -> str:
    """`s3` is short for `s3.amazonaws.com`."""
    return value if "." in value or glob.is_glob(value) else f"{value}.amazonaws.com"


def _has_key(event: Event, keys: frozenset[str]) -> bool:
    """Whether a key called, or is what the call was about (CreateAccessKey, AssumeRole)."""
    if event.identity is not None and event.identity.access_key_id in keys:
        return True
    return any(_holds_one(raw, keys) for raw in (event.parameters, event.response))


def _user_needle(users: tuple[str, ...]) -> Needle | None:
    """`root` is a kind of identity, and what stands in ARNs: any letter case of it passes."""
    return None if any(user.lower() == "root" for user in users) else anywhere(users)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise RequestError(f"--ip: expected an address or a network such as 203.0.113.0/24, got {text!r}") from None


def _address_needle(texts: tuple[str, ...]) -> Needle | Values | None:
    """Whole octets of IPv4 networks; addresses of IPv6 have more than one spelling."""
    literals = []
    for text in texts:
        network = _network(text)
        octets = str(network.network_address).split(".")[: network.prefixlen // 8]
        if network.version != 4 or not octets:
            return None
        literals.append(".".join(octets) + ("" if network.prefixlen == network.max_prefixlen else "."))
    if len(literals) > _FEW:  # all addresses of a log are looked up
        values = [literal + "*" * literal.endswith(".") for literal in literals]
        return Values(("sourceIPAddress", begin + value) for value in values for begin in ("", "::ffff:"))
    return Needle(("", literal) for literal in literals) if literals else None


def _comes_from(address: str | None, networks: tuple[Network, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:  # a service's name
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any(found in network or (mapped is not None and mapped in network) for network in networks)


def _touches(event: Event, texts: tuple[str, ...]) -> bool:
    """Whether a text is part of what the call was about: its parameters, its answer, its resources."""
    return any(_holds_one(raw, texts) for raw in (event.parameters, event.response, event.resources))


def _holds_one(raw: msgspec.Raw, texts: Iterable[str]) -> bool:
    """Whether one of some texts is part of a name or text in a JSON value."""
    data = bytes(raw)
    if not data or data == b"null":
        return False
    # without escapes the JSON itself is searched; it holds more than its strings, which only finds more
    strings = _strings(value_of(raw)) if b"\\" in data else [data.decode("utf-8", "replace")]
    return any(text in string for text in texts for string in strings)


def _strings(value: Any) -> list[str]:
    """Every name and text in a value."""
    out: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, str):
            out.append(item)
    return out
