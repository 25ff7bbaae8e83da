"""A home whose files say who asks, and a trail to ask about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtrail_validate import ConfigurationError
from tests.aws.kit import refusal
from tests.servers.internet import Internet

if TYPE_CHECKING:
    from tests.faults.helpers import Trail

SSO = "sso_account_id = 123456789012\nsso_role_name = auditor\n"


@dataclass(frozen=True)
class World:
    """A trail, the net around it, and a home whose files say who asks."""

    trail: Trail
    net: Internet
    home: Path

    def config(self, text: str) -> None:
        (self.home / ".aws" / "config").write_text(text, "utf-8")

    def cached(self, folder: str = "cli/cache") -> list[dict[str, Any]]:
        """What the AWS CLI would find in its cache."""
        return [json.loads(path.read_text()) for path in (self.home / ".aws" / folder).glob("*.json")]

    def cache(self, folder: str, name: str, content: Any) -> None:
        (self.home / ".aws" / folder).mkdir(parents=True, exist_ok=True)
        (self.home / ".aws" / folder / f"{name}.json").write_text(json.dumps(content))

    def refused(self, kind: type[Exception] = ConfigurationError, **options: Any) -> str:
        """The one line that nothing was validated with."""
        return refusal(self.trail, kind, **options)

    def arguments(self, *more: str) -> list[str]:
        return ["--s3-bucket", self.trail.simulation.manifest.bucket, *self.trail.times(), *more]
