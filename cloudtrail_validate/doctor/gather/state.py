"""Reads out of a state (`--state`) when its trail was last validated, and what has been open since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.doctor.facts import LastProof
from cloudtrail_validate.report.references import CHANGE, OPEN
from cloudtrail_validate.state.codec import INDEX, read
from cloudtrail_validate.state.storage import storage_of

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws


def last_proof(aws: Aws, where: str) -> LastProof | None:
    """Return the last run that a state remembers; None where there is no state. Nothing is written.

    What is still open counts as that run's answer. Raises `ConfigurationError` for a state that cannot be read.
    """
    got = storage_of(where, aws.own_client).get(INDEX)
    if got is None:
        return None
    state = read(got[0], where).state
    statuses = {finding.status for finding in state.open}
    code = ExitCode.CHANGED if statuses & CHANGE else ExitCode.UNPROVEN if statuses & OPEN else ExitCode.VALID
    return LastProof(state.saved, int(code), where)
