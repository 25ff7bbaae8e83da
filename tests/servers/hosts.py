"""What AWS's host names say: service, region, bucket, and which variant of an endpoint it is. Pure.

Sources: AWS General Reference, "Amazon S3 endpoints", "AWS CloudTrail endpoints", "AWS Security Token Service endpoints";
AWS PrivateLink for S3, "Accessing buckets through interface endpoints".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_REGION: Final = r"(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9])"
_DOMAIN: Final = r"amazonaws\.com(?:\.cn)?"
_PATTERNS: Final = {
    "s3": re.compile(
        rf"(?:(?P<bucket>.+)\.)?s3(?P<fips>-fips)?(?P<dualstack>\.dualstack)?(?:[.-]{_REGION})?\.{_DOMAIN}"
    ),
    "s3-interface": re.compile(rf"(?:(?P<bucket>.+)\.)?bucket\.vpce-[0-9a-z-]+\.s3\.{_REGION}\.vpce\.{_DOMAIN}"),
    "sso": re.compile(rf"portal\.sso\.{_REGION}\.{_DOMAIN}"),
    "oidc": re.compile(rf"oidc\.{_REGION}\.{_DOMAIN}"),
    "signin": re.compile(rf"{_REGION}\.signin\.aws\.amazon\.com"),
    "api": re.compile(
        rf"(?P<service>[a-z0-9]+)(?P<fips>-fips)?(?:\.{_REGION})?(?:\.{_DOMAIN}|(?P<dualstack>\.api\.aws))"
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """One of AWS's hosts. `region` is us-east-1 for a global endpoint; `bucket` is empty where the host names none."""

    service: str
    region: str
    bucket: str = ""
    fips: bool = False
    dualstack: bool = False
    interface: bool = False


def place_of(host: str) -> Place | None:
    """Read a host name, None for one that is not AWS's."""
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(host)
        if match is None:
            continue
        groups = match.groupdict()
        return Place(
            service=groups.get("service") or kind.partition("-")[0],
            region=groups.get("region") or "us-east-1",
            bucket=groups.get("bucket") or "",
            fips=bool(groups.get("fips")),
            dualstack=bool(groups.get("dualstack")),
            interface=kind == "s3-interface",
        )
    return None
