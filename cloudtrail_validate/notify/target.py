"""What a target of alerts is, and how a `--notify` value names one.

    sns:ARN  eventbridge:BUS  securityhub[:REGION]  webhook:URL  file:PATH  apprise:URL

A target knows its public name, which holds no secret, and delivers an event or raises `DeliveryError`. Each kind lives in a
module of its own, imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.event import Event

KINDS: Final[Mapping[str, str]] = {
    "sns": "sns:ARN",
    "eventbridge": "eventbridge:BUS",
    "securityhub": "securityhub[:REGION]",
    "webhook": "webhook:URL",
    "file": "file:PATH",
    "apprise": "apprise:URL",
}
"""Every kind of target and how it is written; the kind is its module's name."""


class DeliveryError(Exception):
    """A target did not take the event, or not all of it: one line for people, without secrets."""


class Clients(Protocol):
    """AWS, as the one who sends. `aws.session.Aws` is one."""

    region: str

    def client(self, service: str, region: str | None = None) -> Any:
        """A botocore client."""
        ...

    def account(self) -> str | None:
        """The sender's account; None where STS does not say."""
        ...


class Surroundings(Protocol):
    """What a target may need beside the event."""

    def aws(self) -> Clients:
        """The sender's way into AWS. Raises `ConfigurationError` where there are no credentials."""
        ...

    def secret(self, name: str) -> str | None:
        """A secret from the environment; None where it is not set."""
        ...


class Target(Protocol):
    """Somewhere to tell. `name` may be shown to anybody."""

    name: str

    def deliver(self, event: Event, surroundings: Surroundings, /) -> str | None:
        """Tell it. Returns what was left out, None for nothing. Raises `DeliveryError`."""
        ...


def parse_target(text: str) -> Target:
    """Read one `--notify` value. Raises `RequestError` for what names no target; nothing is sent."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS or (not rest and kind != "securityhub"):
        raise RequestError(f"--notify: expected one of {', '.join(KINDS.values())}, got {printable(kind)!r}")
    module = import_module(f"cloudtrail_validate.notify.{kind}")
    target: Target = module.parse(rest)
    return target
