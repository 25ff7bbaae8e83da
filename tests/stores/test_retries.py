"""Tries of a request: which failures are tried again, how often, and what slows the whole run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts
from cloudtrail_validate.stores import retries
from cloudtrail_validate.stores.retries import Tries


def tried(*errors: StoreError, retries: int = 2, **timeouts: Any) -> tuple[int, RateLimiter]:
    """How many of the failures were answered by another try before one was raised, and the limiter afterwards."""

    async def run() -> tuple[int, RateLimiter]:
        limiter = RateLimiter(32)
        tries, passed = Tries(Timeouts(retries=retries, **timeouts), limiter), 0
        for error in errors:
            try:
                await tries.again_after(error)
            except StoreError as raised:
                assert raised is error  # noqa: PT017  # the same
                break
            passed += 1
        return passed, limiter

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_PAUSE", 0.0)


NETWORK = StoreError(Cause.NETWORK, "reset")


def test_a_passing_failure_is_tried_so_often_and_no_more() -> None:
    assert tried(*[NETWORK] * 9)[0] == 2
    assert tried(*[NETWORK] * 9, retries=0)[0] == 0


@pytest.mark.parametrize(
    "error",
    [
        StoreError(Cause.ACCESS_DENIED, "no", code="AccessDenied"),
        StoreError(Cause.KMS_DENIED, "no"),
        StoreError(Cause.ARCHIVED, "Glacier"),
        StoreError(Cause.NETWORK, "certificate verify failed"),
        StoreError(Cause.NETWORK, "x", code="ExpiredToken"),
    ],
)
def test_what_no_try_mends_is_raised_at_once(error: StoreError) -> None:
    assert tried(error)[0] == 0


def test_slow_down_slows_the_whole_run() -> None:
    before = RateLimiter(32).limit
    passed, limiter = tried(StoreError(Cause.THROTTLED, "SlowDown"))
    assert (passed, limiter.limit) == (1, before // 2)
    assert tried(NETWORK)[1].limit == before


def test_after_a_success_the_count_begins_anew() -> None:
    async def run() -> int:
        tries = Tries(Timeouts(retries=1), RateLimiter(4))
        made = 0
        while made < 5:
            await tries.again_after(NETWORK)
            tries.reset()
            made += 1
        return made

    assert asyncio.run(run()) == 5


def test_nothing_is_begun_after_the_time_to_give_up() -> None:
    assert tried(*[NETWORK] * 9, retries=99, give_up=-1.0)[0] == 0
