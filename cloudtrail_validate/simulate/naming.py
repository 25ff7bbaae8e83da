"""S3 keys as CloudTrail writes them. Built here and not with the verifier's grammar, so that the two check each other.

Source: AWS CloudTrail User Guide, "CloudTrail log file name format" and "CloudTrail digest file structure".
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cloudtrail_validate.core.model import utc

if TYPE_CHECKING:
    from cloudtrail_validate.simulate.spec import AccountRegion, TrailSpec

LOGS = "CloudTrail"
DIGESTS = "CloudTrail-Digest"


def log_key(spec: TrailSpec, site: AccountRegion, minute: datetime, unique: str) -> str:
    """Key of a log file: named after a minute and sixteen letters or digits."""
    stamp = f"{utc(minute):%Y%m%dT%H%MZ}"
    return f"{_folder(spec, site, LOGS, minute)}/{site.account}_{LOGS}_{site.region}_{stamp}_{unique}.json.gz"


def digest_key(spec: TrailSpec, site: AccountRegion, end: datetime, *, backfill: bool = False) -> str:
    """Key of a digest: folder and stamp are the end of the time it covers."""
    stamp = f"{utc(end):%Y%m%dT%H%M%SZ}" + ("_backfill" if backfill else "")
    name = f"{site.account}_{DIGESTS}_{site.region}_{spec.trail_name}_{spec.home}_{stamp}.json.gz"
    return f"{_folder(spec, site, DIGESTS, end)}/{name}"


def marker_keys(spec: TrailSpec, account: str) -> tuple[str, str]:
    """Keys of the zero-byte objects that CreateTrail leaves in an account's folder."""
    root = _root(spec, account)
    return f"{root}/{LOGS}/", f"{root}/{DIGESTS}/"


def _root(spec: TrailSpec, account: str) -> str:
    prefix = f"{spec.prefix}/" if spec.prefix else ""
    organization = f"{spec.organization}/" if spec.organization else ""
    return f"{prefix}AWSLogs/{organization}{account}"


def _folder(spec: TrailSpec, site: AccountRegion, kind: str, moment: datetime) -> str:
    return f"{_root(spec, site.account)}/{kind}/{site.region}/{utc(moment):%Y/%m/%d}"
