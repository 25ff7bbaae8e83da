"""Loads the state of a run, and saves the next one without overwriting what another run has saved meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.state.codec import INDEX, decode, encode, read
from cloudtrail_validate.state.model import RegionState, State, merge
from cloudtrail_validate.state.signing import Signature, Verifier
from cloudtrail_validate.state.storage import ConflictError, Storage, Tag
from cloudtrail_validate.state.view import StateView, view_of

ATTEMPTS: Final = 8  # to save, each with what others have saved meanwhile taken in
_WAIT: Final = 0.05  # seconds before the second attempt at most, doubled with each: two that collided must not again
_ALL_THE_TIME: Final = "is being saved by other runs all the time"


class Loaded(msgspec.Struct, frozen=True):
    """A state, whether it was there, and the tags of the files that it came from."""

    state: State
    created: bool
    tags: dict[str, Tag]


def load(
    storage: Storage,
    name: str,
    source: str,
    trail_arn: str | None,
    now: datetime,
    *,
    required: bool,
    signer: Signature | None = None,
) -> Loaded:
    """Load a state, or begin one where there is none.

    Raises `ConfigurationError`: there is none and it is `required`, it is damaged, from another version, of another source
    or not signed by the `signer`. A state that is there and cannot be used is never begun anew.
    """
    verifier = signer.verifier if signer is not None else None
    got = storage.get(INDEX)
    if got is None:
        if required:
            raise ConfigurationError(f"--require-state: there is no state at {name}")
        return Loaded(State(source, trail_arn, now, 0), created=True, tags={INDEX: None})
    state = decode(got[0], name, INDEX, verifier)
    if (state.source, state.trail_arn) != (source, trail_arn):
        of = state.trail_arn or state.source
        raise ConfigurationError(f"--state: {name} is the state of {of}, not of {trail_arn or source}")
    return _whole(storage, name, state, got[1], lambda data, file: decode(data, f"{name}{file}", file, verifier))


def _whole(storage: Storage, name: str, state: State, tag: Tag, decode_part: Callable[[bytes, str], State]) -> Loaded:
    """A state with what lies in the files of its accounts. `tag` is that of its first file."""
    tags: dict[str, Tag] = {INDEX: tag}
    regions: list[RegionState] = []
    for file, (data, known) in _parts(storage, name, state):
        tags[file] = known
        regions += _checked(state, decode_part(data, file), name, file)
    if storage.sharded:
        state = replace(state, regions=tuple(sorted(regions, key=lambda region: region.place)))
    return Loaded(state, created=False, tags=tags)


def adopt(storage: Storage, name: str, signer: Signature, before: Verifier | None, *, trusted: bool) -> State:
    """Sign a state that was not signed, or that was with the key of `before`. Returns what is signed now.

    Whoever could write it may have put hours into it that nobody proved. So each hour is owed a reading: the next run reads
    it again, whatever else it is asked for. `trusted`: none is. What an adoption that was killed has signed is taken as it
    is; a state that is signed already stays so. Raises `ConfigurationError`; files that were signed by then stay so.
    """
    for _ in _attempts():
        loaded, done = _to_adopt(storage, name, signer.verifier, before)
        if done:
            return loaded.state
        state = loaded.state if trusted else _owing(loaded.state)
        with suppress(ConflictError):
            _put(storage, loaded.tags, state, signer)
            return state
    raise ConfigurationError(f"--state: {name} {_ALL_THE_TIME}: it is not signed")


def _to_adopt(storage: Storage, name: str, own: Verifier, before: Verifier | None) -> tuple[Loaded, bool]:
    """Load a state that is to be signed with a key of one's `own`, and tell whether it is already."""
    got = storage.get(INDEX)
    if got is None:
        raise ConfigurationError(f"there is no state at {name}")
    done = read(got[0], name, INDEX).signed == own.fingerprint
    known = (own,) if done else (before, own)
    state = _by_any(got[0], name, INDEX, known)
    return _whole(storage, name, state, got[1], lambda data, file: _by_any(data, f"{name}{file}", file, known)), done


def _by_any(data: bytes, name: str, file: str, known: tuple[Verifier | None, ...]) -> State:
    """Read a file that is signed with the key of one of several verifiers; None among them: or not at all."""
    signed = read(data, name, file).signed
    if signed is None and None in known:
        return decode(data, name, file)
    for verifier in known:
        if verifier is not None and verifier.fingerprint == signed:
            return decode(data, name, file, verifier)
    what = (
        "is not signed" if signed is None else f"is signed with the key {signed}: expected --public-key FILE, that key"
    )
    raise ConfigurationError(f"--state: {name} {what}")


def _owing(state: State) -> State:
    return replace(
        state,
        regions=tuple(replace(region, owed=tuple(item.start for item in region.stretches)) for region in state.regions),
    )


def view(storage: Storage, name: str, verifier: Verifier | None) -> StateView:
    """Read a state to show it. Raises `ConfigurationError`; one that is signed needs no verifier."""
    got = storage.get(INDEX)
    if got is None:
        raise ConfigurationError(f"there is no state at {name}")
    vouched, sizes = read(got[0], name, INDEX, verifier), [len(got[0])]

    def decode_part(data: bytes, file: str) -> State:
        part = read(data, f"{name}{file}", file, verifier)
        if part.signed != vouched.signed:
            raise ConfigurationError(f"--state: {name}{file} is not signed as {INDEX} is")
        sizes.append(len(data))
        return part.state

    state = _whole(storage, name, vouched.state, got[1], decode_part).state
    return view_of(state, name, sum(sizes), vouched.signed, checked=vouched.checked)


def _parts(storage: Storage, name: str, state: State) -> Iterator[tuple[str, tuple[bytes, Tag]]]:
    """The files of accounts that the index names, each with what it holds; none where there is one file for all."""
    for account in sorted({region.account for region in state.regions}) if storage.sharded else ():
        part = storage.get(_file_of(account))
        if part is None:
            raise ConfigurationError(f"--state: {name} names {_file_of(account)}, which is gone")
        yield _file_of(account), part


def _checked(state: State, held: State, name: str, file: str) -> tuple[RegionState, ...]:
    """The account-regions of an account's file."""
    if held.source != state.source or any(_file_of(region.account) != file for region in held.regions):
        raise ConfigurationError(f"--state: {name}{file} is of another trail or account")
    return held.regions


def save(storage: Storage, name: str, loaded: Loaded, state: State, signer: Signature | None = None) -> None:
    """Save a state; where another run has saved meanwhile, both are merged. Raises `ConfigurationError`."""
    for attempt in _attempts():
        if attempt:
            loaded = load(storage, name, state.source, state.trail_arn, state.saved, required=False, signer=signer)
            state = merge(state, loaded.state)
        with suppress(ConflictError):
            _put(storage, loaded.tags, state, signer)
            return
    raise ConfigurationError(f"--state: {name} {_ALL_THE_TIME}: this run's part is not in it")


def _attempts() -> Iterator[int]:
    """Count attempts to save. Each waits before it reads what others have saved: what is read and kept waiting grows old."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, _WAIT * 2 ** (attempt - 1)))  # noqa: S311  # no secret
        yield attempt


def _put(storage: Storage, tags: dict[str, Tag], state: State, signer: Signature | None) -> None:
    """Accounts first, the index last: it names only what is there."""
    if not storage.sharded:
        tags[INDEX] = storage.put(INDEX, encode(state, INDEX, signer), tags.get(INDEX))
        return
    for account in sorted({region.account for region in state.regions}):
        own = tuple(region for region in state.regions if region.account == account)
        name = _file_of(account)
        tags[name] = storage.put(name, encode(replace(state, regions=own, open=()), name, signer), tags.get(name))
    names = tuple(RegionState(region.account, region.region, region.organization_id) for region in state.regions)
    tags[INDEX] = storage.put(INDEX, encode(replace(state, regions=names), INDEX, signer), tags.get(INDEX))


def _file_of(account: str) -> str:
    return f"{account}.state"
