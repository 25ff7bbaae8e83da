"""One chain that goes on in another folder of its account-region, and the one name under which all of it is judged.

UpdateTrail may make a plain trail an organization's, or an organization's a plain one. The chain does not end: the first
digest in the new folder names the last one in the old folder as its predecessor. Its digests' keys differ in the
organization's id alone, so that their `ChainId`s do. Without such a link two chains of one name are two trails': an
account's own trail may bear the name of its organization's. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.model import ChainId
from cloudtrail_validate.core.plan import AccountRegion

T = TypeVar("T")
Identity = Callable[[ChainId], ChainId]


class Continuation(msgspec.Struct, frozen=True, order=True):
    """Says that a proven digest of `newer` names one of `older`, in another folder, as its predecessor."""

    older: ChainId
    newer: ChainId


def one_name(continuations: Iterable[Continuation]) -> Mapping[tuple[str, str, str | None], str | None]:
    """Return for each trail that goes on elsewhere, by name, home region and organization id, the organization id of all.

    A trail was an organization's at some time: by that id it is known throughout, as where its ARN is asked for.
    """
    groups = joined((_trail(item.older), _trail(item.newer)) for item in continuations)
    return {trail: max(one[2] or "" for one in group) or None for trail, group in groups.items()}


def joined(pairs: Iterable[tuple[T, T]]) -> Mapping[T, frozenset[T]]:
    """Return each item of some pairs with all that the pairs join it to, itself included."""
    out: dict[T, frozenset[T]] = {}
    for pair in pairs:
        group = frozenset(pair).union(*(out.get(item, ()) for item in pair))
        out.update(dict.fromkeys(group, group))
    return out


def identity(region: AccountRegion, continuations: Iterable[Continuation]) -> Identity:
    """Return how chains of an account-region are named, whichever of its folders a digest of theirs lies in.

    Where AWS says whose trail it is, all its folders are one trail's; else one trail has the folders that links join.
    """
    names = one_name(continuations)

    def own(chain: ChainId) -> ChainId:
        known = region.own(chain)
        organization = names.get(_trail(known), known.organization_id)
        return known if organization == known.organization_id else replace(known, organization_id=organization)

    return own


def _trail(chain: ChainId) -> tuple[str, str, str | None]:
    return chain.trail, chain.home_region, chain.organization_id
