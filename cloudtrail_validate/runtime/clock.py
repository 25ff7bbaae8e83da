"""The clock, read in one place: everything below is given the time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime


def now_utc() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)
