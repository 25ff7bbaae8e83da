"""`--notify apprise:URL`: whatever the Apprise library reaches, mail, chats and pagers of more than a hundred kinds.

An optional dependency (`pip install 'ctvalidate[notify]'`), since it weighs more than all others that alerts need. Its URLs
hold passwords: `name` tells the scheme only, and what the library logs is kept off the output.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.event import Event
from cloudtrail_validate.notify.target import DeliveryError, Surroundings
from cloudtrail_validate.notify.wording import body, subject
from cloudtrail_validate.report import Verdict

_KINDS: Final = {
    Verdict.VALID: "success",
    Verdict.CHANGED: "failure",
    Verdict.UNPROVEN: "warning",
    Verdict.EMPTY: "warning",
}


class AppriseTarget(msgspec.Struct, frozen=True):
    """A URL of Apprise's. The URL is a secret."""

    url: str

    def __repr__(self) -> str:
        return f"AppriseTarget({self.name})"

    @property
    def name(self) -> str:
        """The scheme."""
        return f"apprise:{printable(self.url.partition(':')[0])}://…"

    def deliver(self, event: Event, _: Surroundings) -> str | None:
        """Notify."""
        import apprise  # noqa: PLC0415  # 0.3 s, and optional

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs URLs
        sender = apprise.Apprise()
        told = False
        if sender.add(self.url):
            kind = apprise.NotifyType(_KINDS[event.verdict])
            told = bool(sender.notify(body(event), subject(event), kind, body_format=apprise.NotifyFormat.TEXT))
        if not told:
            raise DeliveryError(f"{self.name}: not delivered (try `apprise -vv` with the same URL)")
        return None


def parse(text: str) -> AppriseTarget:
    """Read what follows `apprise:`."""
    try:
        import apprise  # noqa: PLC0415  # optional
    except ImportError as error:
        raise RequestError("--notify apprise: expected the extra, pip install 'ctvalidate[notify]'") from error
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    scheme = text.partition("://")[0] if "://" in text else "no scheme"
    if not apprise.Apprise.instantiate(text, suppress_exceptions=True):
        raise RequestError(f"--notify apprise: expected a URL that Apprise knows, got {printable(scheme[:30])!r}")
    return AppriseTarget(text)
