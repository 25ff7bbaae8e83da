"""Chooses the region, and so the partition, in which AWS is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cloudtrail_validate.core.layout import REGION, parse_trail_arn

# The region that stands for a partition where nothing else is known: the first that each had (botocore, endpoints.json).
FIRST_REGIONS: Final[Mapping[str, str]] = {
    "aws": "us-east-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
    "aws-eusc": "eusc-de-east-1",
}
FALLBACK_REGION: Final = FIRST_REGIONS["aws"]
_BY_PREFIX: Final[Mapping[str, str]] = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
    "us-iso-": "aws-iso",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
}


def choose_region(
    *,
    trail_arn: str | None = None,
    asked: Sequence[str] = (),
    explicit: str | None = None,
    environ: Mapping[str, str],
    configured: str | None = None,
    role_arn: str | None = None,
    like: str = "",
) -> str:
    """Return the region for STS, S3 and CloudTrail alike.

    In this order: the trail's ARN, the first `--region`, the region that a session was made with (`explicit`),
    AWS_REGION, AWS_DEFAULT_REGION, the profile's (`configured`, which holds AWS_DEFAULT_REGION as well), and the first
    region of the partition of the role to assume, or of the region `like`, such as that of a log's key.

    A value that is no region's name is passed over, but for the last that a user set: botocore says what is wrong with it.
    """
    arn = parse_trail_arn(trail_arn) if trail_arn else None
    candidates = (
        arn.region if arn else None,
        asked[0] if asked else None,
        explicit,
        environ.get("AWS_REGION"),
        environ.get("AWS_DEFAULT_REGION"),
        configured,
    )
    given = [value.strip() for value in candidates if value and value.strip()]
    named = next((value for value in given if REGION.fullmatch(value)), given[0] if given else None)
    partition = _partition_of_arn(role_arn) or partition_of(like)
    return named or FIRST_REGIONS.get(partition, FALLBACK_REGION)


def partition_of(region: str | None) -> str:
    """Return the partition that a region's name belongs to, `aws` for any name that says nothing else."""
    return next((name for prefix, name in _BY_PREFIX.items() if (region or "").startswith(prefix)), "aws")


def _partition_of_arn(arn: str | None) -> str:
    parts = (arn or "").split(":")
    return parts[1] if len(parts) > 1 else ""
