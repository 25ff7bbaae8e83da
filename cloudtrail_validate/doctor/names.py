"""Fills the real names into remedies, quoted for a POSIX shell. Pure.

A name that is not known, or that a shell or the AWS CLI could read as something else than a name, stays in capitals: a
line that does another thing than it seems to is worse than none.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from cloudtrail_validate.core.shell import pasteable
from cloudtrail_validate.doctor.documents import DOCUMENTS, text_of
from cloudtrail_validate.doctor.facts import Facts, Trail
from cloudtrail_validate.doctor.model import Check

_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_OPEN: Final = {"trail": "TRAIL_ARN", "name": "TRAIL", "home": "REGION", "bucket": "BUCKET", "account": "ACCOUNT"} | {
    "key": "KEY_ARN",
    "key_region": "REGION",
    "partition": "aws",
}
TO_FILL: Final = (
    *("ACCESS_LOG_BUCKET", "ACCOUNT", "ARCHIVE_ACCOUNT", "ARCHIVE_BUCKET", "BUCKET", "KEY_ARN", "LOG_GROUP_ARN"),
    *("MAIL_ADDRESS", "MANAGEMENT_PROFILE", "MFA_SERIAL CODE", "OTHER_TRAIL_ARN", "POLICY_ID", "REGION"),
    *("REPLICATION_ROLE_ARN", "ROLE_ARN", "SECOND_BUCKET", "TRAIL", "TRAIL_ARN"),
    *(f"{name.upper()}_JSON" for name in DOCUMENTS),
)
"""Names that only the reader knows."""
_TO_FILL: Final = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, TO_FILL))})(?![\w-])")


def remedy(check: Check, facts: Facts) -> tuple[str, ...]:
    """Return the lines that would mend what a check found."""
    values = _names(facts)
    return tuple(_fill(line, values, facts) for line in check.remedy)


def unfilled(line: str) -> bool:
    """Whether a line still has names in capitals, which somebody must fill in."""
    return _TO_FILL.search(line) is not None


def generic(line: str) -> str:
    """Return a remedy's line with every name in capitals, for texts about no trail in particular."""
    return _PLACE.sub(lambda match: _OPEN.get(match[1], f"{match[1].upper()}_JSON"), line)


def _names(facts: Facts) -> dict[str, str]:
    trail = facts.trail
    values = {"bucket": facts.bucket.name, "partition": facts.partition}
    if isinstance(trail, Trail):
        key = trail.kms_key
        values |= {"trail": trail.arn, "name": trail.name, "home": trail.home_region, "account": trail.account}
        values |= {"key": key, "key_region": key.split(":")[3] if key.count(":") > 4 else trail.home_region}
    elif facts.scope.trail_arn:
        parts = facts.scope.trail_arn.split(":")
        values |= {"trail": facts.scope.trail_arn, "name": parts[-1].removeprefix("trail/"), "home": parts[3]}
    return {name: value for name, value in values.items() if value}


def _fill(line: str, values: dict[str, str], facts: Facts) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in DOCUMENTS:
            found = text_of(DOCUMENTS[name](facts))
            return f"{name.upper()}_JSON" if found is None else shlex.quote(found)
        known = values.get(name, "")
        return shlex.quote(known) if pasteable(known) else _OPEN[name]

    return _PLACE.sub(value, line)
