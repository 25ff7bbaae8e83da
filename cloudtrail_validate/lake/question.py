"""What is asked about query results: where they lie, whose keys count, who asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from cloudtrail_validate.core import rules, slips
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.lake import SIGN_FILE
from cloudtrail_validate.request import check_role


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where results lie: `bucket`, empty for a folder, and `prefix`; `uri` names both.

    `above` is the path of a local folder, which may lie in a copy of the whole tree; empty in S3, where keys are whole.
    """

    bucket: str
    prefix: str
    above: str
    uri: str


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
    def place(self) -> Place:
        """Where it reads."""
        if self.source is None:
            return Place(bucket=self.bucket, prefix=self.prefix, above="", uri=f"s3://{self.bucket}/{self.prefix}")
        folder = self.source.resolve()
        return Place(bucket=self.bucket, prefix=self.prefix, above=f"{folder.as_posix()}/", uri=folder.as_uri())

    def check(self) -> None:
        """Raise `RequestError` where the question cannot be meant."""
        check_role(self.role_arn, self.external_id)
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
