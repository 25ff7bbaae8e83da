"""Which of a trail's files a rule on a key prefix reaches."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.layout import DIGEST_KIND, LOG_KIND

KINDS: Final = (LOG_KIND, DIGEST_KIND)


def reaches(prefix: str, base: str, kind: str) -> bool:
    """Whether a prefix holds files of `kind` (`CloudTrail`, `CloudTrail-Digest`) below `base`, which ends in `AWSLogs/`.

    It does where it is shorter than the folder, and where it lies within: `AWSLogs/111122223333/Config/` holds neither
    logs nor digests, `AWSLogs/111122223333/Cloud` holds both.
    """
    if base.startswith(prefix):
        return True
    if not prefix.startswith(base):
        return False
    parts = prefix.removeprefix(base).split("/")
    if parts[0].startswith("o-"):
        parts = parts[1:]
    if len(parts) < 2:
        return True
    return parts[1] == kind if len(parts) > 2 else kind.startswith(parts[1])
