"""What came of each folder, before it is a report."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cloudtrail_validate.core.lake import SIGN_FILE, SignFile
from cloudtrail_validate.core.lake_verdict import Folder, Signed
from cloudtrail_validate.core.model import Counts, Finding, Status
from cloudtrail_validate.core.signature import PublicKey


class Outcome(msgspec.Struct, frozen=True):
    """What came of one folder, before it is a record of the report.

    `files` are the results by outcome, `size` what was hashed of them in bytes.
    """

    folder: Folder
    sign: SignFile | None
    signed: Signed
    findings: tuple[Finding, ...] = ()
    files: Counts = Counts()
    size: int = 0
    statement: str | None = None
    covered: bool = False
    key: PublicKey | None = None


def signs(outcomes: Iterable[Outcome]) -> Counts:
    """Sign files by outcome: each counts once, by the worst that was found of it."""
    order = list(Status)
    found = [
        [one.status for one in outcome.findings if one.where == outcome.folder.where(SIGN_FILE)] for outcome in outcomes
    ]
    return Counts.of(min(statuses, key=order.index, default=None) for statuses in found)
