"""The rules: what can be found, what it means, what it does not mean, and what a responder does next.

The ids are in `ids`; `digests`, `logs` and `coverage` hold the texts of `ctvalidate explain`.
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
    LOG_ALTERED,
    LOG_EXTRA,
    LOG_MALFORMED,
    LOG_MISSING,
    LOG_PENDING,
    LOG_REWRITTEN,
    LOG_TRAILING_DATA,
    LOG_UNDIGESTED,
    LOG_UNREADABLE,
)
from cloudtrail_validate.core.rules.logs import LOGS
from cloudtrail_validate.core.rules.rule import Rule

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
    "GAP_BROKEN",
    "GAP_LATE_START",
    "GAP_RESTART",
    "GAP_TAIL",
    "HISTORY_REWRITTEN",
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
    "Rule",
]

RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in (*DIGESTS, *LOGS, *COVERAGE)})
"""Every rule by its id, in the order of the contract."""
