"""Decides whether a failed request is made again, and waits before it: exponential backoff with jitter."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import PASSING, Cause
from cloudtrail_validate.core.trouble import HOPELESS, diagnose
from cloudtrail_validate.runtime.limits import RateLimiter, Timeouts

_FIRST_PAUSE: Final = 0.1  # seconds
_LONGEST_PAUSE: Final = 3.0  # seconds


class Tries:
    """The tries of one request."""

    def __init__(self, timeouts: Timeouts, limiter: RateLimiter) -> None:
        self._timeouts = timeouts
        self._limiter = limiter
        self._failures = 0
        self._begun = 0.0

    def reset(self) -> None:
        """Begin to count anew: something succeeded, and what follows is another request."""
        self._failures = 0

    async def again_after(self, error: StoreError) -> None:
        """Wait before the next try, or raise the error where another try cannot help or has not helped."""
        if error.cause not in PASSING or diagnose(error.code, error.detail) in HOPELESS:
            raise error
        now = asyncio.get_running_loop().time()
        if not self._failures:
            self._begun = now
        self._failures += 1
        if error.cause is Cause.THROTTLED:
            self._limiter.slow_down()
        if self._failures > self._timeouts.retries or now - self._begun > self._timeouts.give_up:
            raise error
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self._failures - 1))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
