"""What `ctvalidate doctor` found, as far as a report shows it beside its own answer: how well tampering would be noticed.

Only the fields that are shown are read, so that the examination may grow others. Its file is hostile input like a report.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from cloudtrail_validate.core.text import printable

SCHEMA: Final = "ctvalidate.doctor/1"
MOST_RESULTS: Final = 500  # shown; doctor has some eighty checks
Health = Literal["bad", "weak", "unknown", "ok"]


class Result(msgspec.Struct, frozen=True):
    """One check: what it looks at, what it found, why that matters, and the lines that mend it."""

    check: str
    status: Health
    title: str
    evidence: str = ""
    why: str = ""
    remedy: tuple[str, ...] = ()


class Ran(msgspec.Struct, frozen=True):
    """When it was asked."""

    finished: Annotated[datetime, msgspec.Meta(tz=True)]


class Examination(msgspec.Struct, frozen=True):
    """The whole examination."""

    schema: Literal["ctvalidate.doctor/1"]
    verdict: Health
    run: Ran
    results: tuple[Result, ...]
    trail_arn: str | None = None
    bucket: str | None = None


class ExaminationError(ValueError):
    """Not an examination: one line on why, safe to show."""


def read_examination(data: bytes) -> Examination:
    """Read what `ctvalidate doctor --format json` wrote. Raises `ExaminationError`, whatever the bytes are."""
    try:
        found = msgspec.json.decode(data, type=Examination)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ExaminationError(
            f"expected what ctvalidate doctor --format json writes ({SCHEMA}): {printable(str(error)[:200])}"
        ) from error
    if not 2000 <= found.run.finished.year < 9000:
        raise ExaminationError("expected a time of the years 2000 to 8999")
    return found
