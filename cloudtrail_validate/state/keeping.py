"""Loads the state of a run, and saves the next one without overwriting what another run has saved meanwhile."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.state.model import State, decode, encode, merge
from cloudtrail_validate.state.storage import ConflictError, Storage, Tag

INDEX: Final = "index.state"
ATTEMPTS: Final = 4  # to save, each with what others have saved meanwhile taken in


class Loaded(msgspec.Struct, frozen=True):
    """A state, whether it was there, and the tags of the files that it came from."""

    state: State
    created: bool
    tags: dict[str, Tag]


def load(storage: Storage, name: str, source: str, trail_arn: str | None, now: datetime, *, required: bool) -> Loaded:
    """Load a state, or begin one where there is none.

    Raises `ConfigurationError`: there is none and it is `required`, it is damaged, from another version, or of another
    source. A state that is there and cannot be used is never begun anew.
    """
    got = storage.get(INDEX)
    if got is None:
        if required:
            raise ConfigurationError(f"--require-state: there is no state at {name}")
        return Loaded(State(source, trail_arn, now, 0), created=True, tags={INDEX: None})
    state, tags = decode(got[0], name), {INDEX: got[1]}
    if (state.source, state.trail_arn) != (source, trail_arn):
        of = state.trail_arn or state.source
        raise ConfigurationError(f"--state: {name} is the state of {of}, not of {trail_arn or source}")
    for account in sorted({region.account for region in state.regions}) if storage.sharded else ():
        part = storage.get(_file_of(account))
        if part is None:
            raise ConfigurationError(f"--state: {name} names {_file_of(account)}, which is gone")
        tags[_file_of(account)] = part[1]
        held = decode(part[0], f"{name}{_file_of(account)}")
        others = tuple(region for region in state.regions if region.account != account)
        state = replace(state, regions=tuple(sorted((*others, *held.regions), key=lambda region: region.place)))
    return Loaded(state, created=False, tags=tags)


def save(storage: Storage, name: str, loaded: Loaded, state: State) -> None:
    """Save a state; where another run has saved meanwhile, both are merged. Raises `ConfigurationError`."""
    for _ in range(ATTEMPTS):
        try:
            _put(storage, loaded.tags, state)
        except ConflictError:
            loaded = load(storage, name, state.source, state.trail_arn, state.saved, required=False)
            state = merge(state, loaded.state)
        else:
            return
    raise ConfigurationError(f"--state: {name} is being saved by other runs all the time: this run's part is not in it")


def _put(storage: Storage, tags: dict[str, Tag], state: State) -> None:
    """Accounts first, the index last: it names only what is there."""
    if not storage.sharded:
        tags[INDEX] = storage.put(INDEX, encode(state), tags.get(INDEX))
        return
    for account in sorted({region.account for region in state.regions}):
        own = tuple(region for region in state.regions if region.account == account)
        name = _file_of(account)
        tags[name] = storage.put(name, encode(replace(state, regions=own, open=())), tags.get(name))
    names = tuple(replace(region, stretches=(), edges=()) for region in state.regions)
    tags[INDEX] = storage.put(INDEX, encode(replace(state, regions=names)), tags.get(INDEX))


def _file_of(account: str) -> str:
    return f"{account}.state"
