"""`--notify webhook:URL`: the event as JSON, with a `text` that Slack, Mattermost and Google Chat show.

Slack and Google Chat get `text` alone, since Google's refuses a message with fields that it does not know. Everywhere else
the whole event is sent, `dedup_key` included, by which receivers such as PagerDuty's proxies update one incident. With
CTVALIDATE_WEBHOOK_SECRET set, `X-Ctvalidate-Signature: sha256=HEX` is the HMAC of the body, as GitHub signs its own; the
body holds the time of the run, so that a receiver can refuse an old one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from cloudtrail_validate.notify.event import Event
from cloudtrail_validate.notify.http import Attempts, check_url, send, shown
from cloudtrail_validate.notify.target import Surroundings
from cloudtrail_validate.notify.wording import body, subject
from cloudtrail_validate.report.references import to_json

SECRET: Final = "CTVALIDATE_WEBHOOK_SECRET"  # noqa: S105  # a variable's name
SIGNATURE: Final = "X-Ctvalidate-Signature"
MAX_TEXT: Final = 3_500  # characters: Google Chat shows about 4,000, Slack and Mattermost more
LISTED: Final = 100  # findings of each sort in the body
TEXT_ONLY: Final = frozenset({"chat.googleapis.com", "hooks.slack.com", "hooks.slack-gov.com"})
_LISTS: Final = ("opened", "again", "healed", "carried")


class WebhookTarget(msgspec.Struct, frozen=True):
    """A URL that takes a POST. The URL is a secret: `name` tells its host only."""

    url: str
    attempts: Attempts = Attempts()

    def __repr__(self) -> str:
        return f"WebhookTarget({self.name})"

    @property
    def name(self) -> str:
        """The host."""
        return f"webhook:{shown(self.url)}"

    def deliver(self, event: Event, surroundings: Surroundings) -> str | None:
        """Post the event."""
        data = payload(event, text_only=(urlsplit(self.url).hostname or "") in TEXT_ONLY)
        headers = {"Content-Type": "application/json"}
        secret = surroundings.secret(SECRET)
        if secret:
            headers[SIGNATURE] = sign(secret, data)
        send(self.url, data, headers, attempts=self.attempts)
        return None


def payload(event: Event, *, text_only: bool = False) -> bytes:
    """The body, JSON in ASCII."""
    text = (
        f"{subject(event)}\n```\n{body(event, MAX_TEXT)}```"  # a fence keeps the columns; nothing inside can close it
    )
    if text_only:
        return to_json({"text": text}).encode()
    fields: dict[str, Any] = {"text": text, "dedup_key": event.id, **msgspec.structs.asdict(event)}
    fields["numbers"] = {name: len(getattr(event, name)) for name in _LISTS}
    fields |= {name: getattr(event, name)[:LISTED] for name in _LISTS}
    return to_json(fields).encode()


def sign(secret: str, data: bytes) -> str:
    """The signature's header for a body."""
    return "sha256=" + hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def parse(text: str) -> WebhookTarget:
    """Read what follows `webhook:`."""
    return WebhookTarget(check_url("--notify webhook", text))
