"""All checks, by id, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cloudtrail_validate.doctor import bucket, caller, keys, organization, trail
from cloudtrail_validate.doctor.model import Check
from cloudtrail_validate.doctor.policy.checks import POLICY

CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        check.id: check
        for check in (*trail.CHECKS, *organization.CHECKS, *bucket.CHECKS, *POLICY, *keys.CHECKS, *caller.CHECKS)
    }
)
"""Every check by its id."""
