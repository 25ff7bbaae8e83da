"""Gathers what the stages of a run share: store, limits, the pool that reads logs, keys, and the watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.engine.log_checker import LogChecker
from cloudtrail_validate.runtime.limits import Budget, RateLimiter, TryBudget
from cloudtrail_validate.stores.protocol import Store

REFERENCES_IN_MEMORY: Final = 16_000  # of all account-regions together, ~0.5 kB each: two or three batches
REFERENCES_KEPT: Final = 12_500  # besides, from proving a digest until its logs are matched; others are read again


class Tools(msgspec.Struct, frozen=True):
    """Holds the store, limits, log pool, watch, budgets and keys that every stage is given.

    `references` bounds the log references held at once, `kept` those kept between two stages. `keys` answers with the
    keys of a region, which are asked for once.
    """

    store: Store
    limiter: RateLimiter
    checker: LogChecker
    watch: Watch
    references: Budget
    kept: TryBudget
    keys: Callable[[str], Awaitable[RegionKeys]]


def make_tools(
    store: Store, limiter: RateLimiter, keys: Callable[[str], Awaitable[RegionKeys]], watch: Watch | None = None
) -> Tools:
    """Make the tools of one process."""
    seen = watch or Watch()
    checker = LogChecker(store, seen, limiter)
    return Tools(store, limiter, checker, seen, Budget(REFERENCES_IN_MEMORY), TryBudget(REFERENCES_KEPT), keys)
