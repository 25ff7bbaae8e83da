"""The rules: what can be found, what it means, what it does not mean, and what a responder does next.

The ids are in `ids`; `digests`, `logs` and `coverage` hold the texts of `ctvalidate explain`
for what a trail can show, `lake` those for results of CloudTrail Lake queries,
`witness` those of what independent sources say.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from cloudtrail_validate.core.rules.coverage import COVERAGE
from cloudtrail_validate.core.rules.digests import DIGESTS
from cloudtrail_validate.core.rules.ids import (
    CHAIN_ABSENT,
    CHAIN_RESTART,
    DIGEST_ALGORITHM_UNSUPPORTED,
    DIGEST_KEY_UNKNOWN,
    DIGEST_LINK_BROKEN,
    DIGEST_MALFORMED,
    DIGEST_MISSING,
    DIGEST_MOVED,
    DIGEST_SIGNATURE_INVALID,
    DIGEST_SIGNATURE_MISSING,
    DIGEST_TRAILING_DATA,
    DIGEST_UNLINKED,
    DIGEST_UNREADABLE,
    GAP_BROKEN,
    GAP_LATE_START,
    GAP_RESTART,
    GAP_TAIL,
    HISTORY_REWRITTEN,
    LAKE_ALGORITHM_UNSUPPORTED,
    LAKE_KEY_UNKNOWN,
    LAKE_MOVED,
    LAKE_RESULT_ALTERED,
    LAKE_RESULT_EXTRA,
    LAKE_RESULT_MISSING,
    LAKE_RESULT_RENAMED,
    LAKE_RESULT_UNREADABLE,
    LAKE_SIGN_MALFORMED,
    LAKE_SIGN_MISSING,
    LAKE_SIGN_UNREADABLE,
    LAKE_SIGNATURE_INVALID,
    LOG_ALTERED,
    LOG_EXTRA,
    LOG_MALFORMED,
    LOG_MISSING,
    LOG_PENDING,
    LOG_REWRITTEN,
    LOG_TRAILING_DATA,
    LOG_UNDIGESTED,
    LOG_UNREADABLE,
    WITNESS_EVENT_ABSENT,
    WITNESS_EVENT_DIFFERS,
)
from cloudtrail_validate.core.rules.lake import LAKE
from cloudtrail_validate.core.rules.logs import LOGS
from cloudtrail_validate.core.rules.rule import Rule
from cloudtrail_validate.core.rules.witness import WITNESS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHAIN_ABSENT",
    "CHAIN_RESTART",
    "DIGEST_ALGORITHM_UNSUPPORTED",
    "DIGEST_KEY_UNKNOWN",
    "DIGEST_LINK_BROKEN",
    "DIGEST_MALFORMED",
    "DIGEST_MISSING",
    "DIGEST_MOVED",
    "DIGEST_SIGNATURE_INVALID",
    "DIGEST_SIGNATURE_MISSING",
    "DIGEST_TRAILING_DATA",
    "DIGEST_UNLINKED",
    "DIGEST_UNREADABLE",
    "GAPS",
    "GAP_BROKEN",
    "GAP_LATE_START",
    "GAP_RESTART",
    "GAP_TAIL",
    "HISTORY_REWRITTEN",
    "LAKE_ALGORITHM_UNSUPPORTED",
    "LAKE_KEY_UNKNOWN",
    "LAKE_MOVED",
    "LAKE_RESULT_ALTERED",
    "LAKE_RESULT_EXTRA",
    "LAKE_RESULT_MISSING",
    "LAKE_RESULT_RENAMED",
    "LAKE_RESULT_UNREADABLE",
    "LAKE_SIGNATURE_INVALID",
    "LAKE_SIGN_MALFORMED",
    "LAKE_SIGN_MISSING",
    "LAKE_SIGN_UNREADABLE",
    "LOG_ALTERED",
    "LOG_EXTRA",
    "LOG_MALFORMED",
    "LOG_MISSING",
    "LOG_PENDING",
    "LOG_REWRITTEN",
    "LOG_TRAILING_DATA",
    "LOG_UNDIGESTED",
    "LOG_UNREADABLE",
    "RULES",
    "TRAIL_RULES",
    "WITNESS_EVENT_ABSENT",
    "WITNESS_EVENT_DIFFERS",
    "Rule",
]

TRAIL_RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in (*DIGESTS, *LOGS, *COVERAGE)})
"""What the validation of a trail can find, by its id, in the order of the contract."""

RULES: Mapping[str, Rule] = MappingProxyType({**TRAIL_RULES, **{rule.id: rule for rule in (*LAKE, *WITNESS)}})
"""Every rule by its id: those of trails, of query results, and of independent sources."""

GAPS: frozenset[str] = frozenset({GAP_BROKEN, GAP_RESTART, GAP_TAIL, GAP_LATE_START, CHAIN_ABSENT})
"""What says that hours are covered by no proven digest."""
