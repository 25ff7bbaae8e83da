"""`--notify eventbridge:BUS`: one result event a run, and one event for each finding that is new, found again or healed.

EventBridge API reference, PutEvents: 1 to 10 entries a call; a call succeeds although entries failed, so `FailedEntryCount`
and each entry's `ErrorCode` are looked at, and failed entries are put again. An entry may have 1 MB, in partitions that
still have the older limit 256 KB; both are kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.layout import parse_trail_arn
from cloudtrail_validate.core.regions import partition_of
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.aws_calls import call
from cloudtrail_validate.notify.event import Event, OpenFinding
from cloudtrail_validate.notify.target import DeliveryError, Surroundings
from cloudtrail_validate.notify.wording import LISTED
from cloudtrail_validate.report.references import to_json

SOURCE: Final = "ctvalidate"  # `aws.` is AWS's own
RESULT: Final = "CloudTrail Validation Result"
FINDING: Final = "CloudTrail Validation Finding"
MOST_FINDINGS: Final = 1_000  # events a run, new ones first: 100 calls
PER_CALL: Final = 10
MAX_BYTES: Final = 240_000  # of a call: below both limits with room for what EventBridge adds
TRIES: Final = 3
_BUS: Final = re.compile(r"[A-Za-z0-9._/-]{1,256}")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:events:(?P<region>[a-z0-9-]+):[0-9]{12}:event-bus/[A-Za-z0-9._/-]{1,256}")


class EventBridgeTarget(msgspec.Struct, frozen=True):
    """An event bus, by name in the sender's region or by ARN."""

    bus: str
    region: str | None
    wait: float = 1.0  # seconds before failed entries are put again, doubled each time

    @property
    def name(self) -> str:
        """The bus."""
        return f"eventbridge:{self.bus}"

    def deliver(self, event: Event, surroundings: Surroundings) -> str | None:
        """Put the result and its findings."""
        client = surroundings.aws().client("events", self.region)
        failed: list[str] = []
        for batch in batches(entries(event, self.bus)):
            failed += self._put(client, batch)
        if failed:
            raise DeliveryError(f"events:PutEvents: {len(failed):,} entries were not taken, the first: {failed[0]}")
        left = len(_findings(event)) - MOST_FINDINGS
        return f"{left:,} findings left out" if left > 0 else None

    def _put(self, client: Any, batch: Sequence[dict[str, Any]]) -> list[str]:
        """What EventBridge says of the entries that it did not take in the end."""
        refused: list[dict[str, Any]] = []
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.wait * 2 ** (attempt - 1))
            answer = call("events:PutEvents", partial(client.put_events, Entries=list(batch)))
            told = list(answer.get("Entries", ()))
            failed = [number for number, said in enumerate(told) if said.get("ErrorCode")]
            refused = [told[number] for number in failed]
            if len(told) != len(batch):  # nobody knows which of them to repeat
                return ["the answer is not from EventBridge"] * len(batch)
            if not failed:
                return []
            batch = [batch[number] for number in failed]
        return [_why(said) for said in refused]


def _why(said: dict[str, Any]) -> str:
    return printable(f"{said.get('ErrorCode')}: {said.get('ErrorMessage', '')}"[:300])


def entries(event: Event, bus: str) -> Iterator[dict[str, Any]]:
    """The result's entry, then the findings'."""
    common = {"Source": SOURCE, "EventBusName": bus, "Time": event.finished, "Resources": _resources(event)}
    yield {**common, "DetailType": RESULT, "Detail": _result(event)}
    head = {name: getattr(event, name) for name in ("schema", "verdict", "exit_code", "trail", "source", "account")}
    for change, item in _findings(event)[:MOST_FINDINGS]:
        detail = {**head, "change": change, "run": event.id, **msgspec.structs.asdict(item)}
        yield {**common, "DetailType": FINDING, "Detail": to_json(detail)}


def batches(items: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Entries in calls that keep both limits."""
    batch: list[dict[str, Any]] = []
    held = 0
    for entry in items:
        size = entry_size(entry)
        if batch and (len(batch) == PER_CALL or held + size > MAX_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(entry)
        held += size
    if batch:
        yield batch


def entry_size(entry: dict[str, Any]) -> int:
    """An entry's bytes as EventBridge counts them: time 14, and the UTF-8 of source, type, detail and resources."""
    texts = (entry["Source"], entry["DetailType"], entry["Detail"], *entry["Resources"])
    return 14 + sum(len(text.encode()) for text in texts)


def _result(event: Event) -> str:
    """The event with its first findings; fewer where those are long."""
    told = msgspec.structs.asdict(event) | {"numbers": {name: len(getattr(event, name)) for name in _LISTS}}
    for most in (LISTED, LISTED // 4, 0):
        text = to_json(told | {name: getattr(event, name)[:most] for name in _LISTS})
        if len(text) < MAX_BYTES:
            break
    return text


_LISTS: Final = ("opened", "again", "healed", "carried")


def _findings(event: Event) -> list[tuple[str, OpenFinding]]:
    return [(name, item) for name in _LISTS[:3] for item in getattr(event, name)]


def _resources(event: Event) -> list[str]:
    arn = parse_trail_arn(event.trail or "")
    out = [event.trail] if event.trail and arn else []
    if event.source.startswith("s3://"):
        of = arn.partition if arn else partition_of(event.region)
        out.append(f"arn:{of}:s3:::{event.source.removeprefix('s3://').partition('/')[0]}")
    return out


def parse(text: str) -> EventBridgeTarget:
    """Read what follows `eventbridge:`."""
    match = _ARN.fullmatch(text)
    if match is None and _BUS.fullmatch(text) is None:
        raise RequestError(f"--notify eventbridge: expected the name or ARN of a bus, got {printable(text)!r}")
    return EventBridgeTarget(text, match["region"] if match else None)
