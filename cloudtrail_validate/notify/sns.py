"""`--notify sns:ARN`: a plain text message with attributes to filter by.

SNS API reference, Publish: the subject is ASCII of fewer than 100 characters without line breaks and control characters,
the message UTF-8 of at most 256 KiB, attributes included. More than 10 attributes never reach a queue with raw delivery.
A FIFO topic wants a group and a deduplication id.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.aws_calls import call
from cloudtrail_validate.notify.event import Event
from cloudtrail_validate.notify.target import DeliveryError, Surroundings
from cloudtrail_validate.notify.wording import attributes, body, subject

MAX_MESSAGE: Final = 256 * 1024 - 4 * 1024  # bytes; what the attributes take is left free
_ARN: Final = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?P<fifo>\.fifo)?")
_NUMBERS: Final = frozenset({"exit_code", "opened", "open", "healed"})


class SnsTarget(msgspec.Struct, frozen=True):
    """An SNS topic. A topic's ARN is no secret."""

    arn: str
    region: str
    fifo: bool

    @property
    def name(self) -> str:
        """The topic's ARN."""
        return f"sns:{self.arn}"

    def deliver(self, event: Event, surroundings: Surroundings) -> str | None:
        """Publish one message."""
        client = surroundings.aws().client("sns", self.region)
        answer = call("sns:Publish", partial(client.publish, TopicArn=self.arn, **message(event, fifo=self.fifo)))
        if not answer.get("MessageId"):
            raise DeliveryError("sns:Publish: the answer is not from SNS")
        return None


def message(event: Event, *, fifo: bool) -> dict[str, Any]:
    """What Publish is given beside the topic."""
    text = body(event).encode()[:MAX_MESSAGE].decode("utf-8", "ignore")
    values = {
        name: {"DataType": "Number" if name in _NUMBERS else "String", "StringValue": value}
        for name, value in attributes(event).items()
    }
    out: dict[str, Any] = {"Subject": subject(event), "Message": text, "MessageAttributes": values}
    if fifo:
        # One group a trail keeps its messages in order. A run that is retried within SNS's five minutes tells once.
        out["MessageGroupId"] = event.id
        out["MessageDeduplicationId"] = hashlib.sha256(f"{event.state} {event.end.isoformat()}".encode()).hexdigest()
    return out


def parse(text: str) -> SnsTarget:
    """Read what follows `sns:`."""
    match = _ARN.fullmatch(text)
    if match is None:
        raise RequestError(f"--notify sns: expected arn:aws:sns:REGION:ACCOUNT:TOPIC, got {printable(text)!r}")
    return SnsTarget(text, match["region"], match["fifo"] is not None)
