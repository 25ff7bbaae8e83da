"""What is asked about query results: where they lie, whose keys count, who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudtrail_validate.core import rules, slips
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.lake import SIGN_FILE

_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/\S{1,512}")


@dataclass(frozen=True, slots=True)
class LakeQuestion:
    """One question: `source` is a folder, or `bucket` and `prefix` (which ends in a slash, or is empty) a place in S3.

    `tolerate` are the rules that the exit code passes over, where they are unverifiable.
    """

    source: Path | None = None
    bucket: str = ""
    prefix: str = ""
    public_keys: Path | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    follow_links: bool = False
    tolerate: frozenset[str] = frozenset()

    @property
    def uri(self) -> str:
        """Where it reads: `s3://bucket/prefix` or `file:///…`."""
        return self.source.resolve().as_uri() if self.source is not None else f"s3://{self.bucket}/{self.prefix}"

    @property
    def above(self) -> str:
        """The path of a local folder, which may lie in a copy of the whole tree; empty in S3, where keys are whole."""
        return f"{self.source.resolve().as_posix()}/" if self.source is not None else ""

    def check(self) -> None:
        """Raise `RequestError` where the question cannot be meant."""
        if self.external_id is not None and self.role_arn is None:
            raise RequestError("--external-id: expected --role-arn with it")
        if self.role_arn is not None and _ROLE.fullmatch(self.role_arn) is None:
            raise RequestError(f"--role-arn: expected arn:aws:iam::ACCOUNT:role/NAME, got {self.role_arn!r}")
        if self.source is None and self.follow_links:
            raise RequestError("--follow-links: there are links in a local copy only, expected it with a folder")
        for name in sorted(self.tolerate):
            rule = rules.RULES.get(name)
            if rule is None or not name.startswith("lake-"):
                raise RequestError(f"--tolerate: expected a lake- rule (ctvalidate explain lists them), got {name!r}")
            if not rule.tolerable:
                raise RequestError(f"--tolerate: expected an unverifiable rule; {name} is {rule.status}")


def read_place(text: str) -> tuple[Path | None, str, str]:
    """A folder, or a bucket and a prefix, out of `DIR` or `s3://BUCKET/PREFIX/`. Raises `RequestError`.

    The sign file itself stands for its folder.
    """
    if text.startswith(("s3://", "arn:")):
        bucket, prefix = slips.part(text.removesuffix(f"/{SIGN_FILE}") + "/" * text.endswith(f"/{SIGN_FILE}"))
        if slips.BUCKET.fullmatch(bucket) is None:
            raise RequestError(f"expected s3://BUCKET/PREFIX/ or a folder, got {text!r}")
        return None, bucket, prefix or ""
    folder = Path(text)
    if folder.name == SIGN_FILE and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise RequestError(f"expected s3://BUCKET/PREFIX/ or a folder with query results, got {text!r}")
    return folder, "", ""
