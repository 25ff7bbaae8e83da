"""Which digests an event of AWS says were delivered, and which of them are the configured trail's.

What arrives here is hostile: whoever may publish to the topic, put to the bus or invoke the function writes it. So nothing
of it is used to read anything. An event only names an account, a region and an hour of the trail that the function is
configured for; whatever does not fit that trail is counted and dropped. Pure, total, bounded.

Shapes, as AWS documents them:

- S3 event notification ("Event message structure"): `Records[].s3.bucket.name`, `.object.key`, which is URL-encoded;
- EventBridge event of S3 ("EventBridge event message structure"): `detail.bucket.name`, `detail.object.key`, as it is;
- SNS to Lambda: `Records[].Sns.Message`, a text: an S3 notification, or CloudTrail's own
  `{"s3Bucket": …, "s3ObjectKey": [ … ]}`, or the sentence that it sends when the topic is set;
- SQS to Lambda: `Records[].body`, any of the above.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from cloudtrail_validate.core.layout import (
    DIGEST_KIND,
    ORGANIZATION,
    REGION,
    TrailArn,
    base_of,
    folder_of,
    parse_digest_key,
)
from cloudtrail_validate.core.model import HOUR, Interval

MOST_OBJECTS: Final = 10_000  # of one event: SQS hands over 10,000 messages at most
MAX_KEY: Final = 1_024 * 3  # characters: S3's 1,024 bytes, percent-encoded
MAX_DEPTH: Final = 4  # an S3 notification in an SNS envelope in an SQS message is three
AHEAD: Final = timedelta(minutes=15)  # a digest ends before it is delivered; the rest is clocks
JOINED: Final = 6 * HOUR  # hours this close are validated in one run, since each run looks around its window anyway


class Delivery(msgspec.Struct, frozen=True):
    """An object that an event says was written."""

    bucket: str
    key: str


class Watched(msgspec.Struct, frozen=True):
    """The trail that the function is configured for. `trail` None takes every trail that writes below the prefix."""

    bucket: str
    prefix: str | None = None
    trail: TrailArn | None = None


class Task(msgspec.Struct, frozen=True):
    """One account and region of the watched trail, and the hours to prove: each digest's own and its predecessor's."""

    account: str
    region: str
    window: Interval


class Sorted(msgspec.Struct, frozen=True):
    """What an event comes down to. `ignored` counts objects that are no digest of the watched trail."""

    tasks: tuple[Task, ...]
    digests: int
    ignored: int


def sort_event(event: object, watched: Watched, now: datetime) -> Sorted:
    """Read an event of any of the shapes. Raises nothing, whatever it is."""
    ends: dict[tuple[str, str], set[datetime]] = {}
    ignored, seen = 0, set[Delivery]()
    for delivery in read_event(event):
        if delivery in seen:
            continue
        seen.add(delivery)
        place = _place(delivery, watched, now)
        if place is None:
            ignored += 1
        else:
            account, region, end = place
            ends.setdefault((account, region), set()).add(end)
    tasks = [
        Task(account, region, window) for (account, region), moments in ends.items() for window in _windows(moments)
    ]
    return Sorted(tuple(tasks), sum(map(len, ends.values())), ignored)


def read_event(event: object) -> list[Delivery]:
    """Every object that an event names, in its order, at most `MOST_OBJECTS`."""
    out: list[Delivery] = []
    for delivery in _objects(event, 0):
        if len(out) == MOST_OBJECTS:
            break
        out.append(delivery)
    return out


def _place(delivery: Delivery, watched: Watched, now: datetime) -> tuple[str, str, datetime] | None:
    """Account, region and end of a digest of the watched trail; None for everything else."""
    found = folder_of(delivery.bucket, delivery.key)
    if found is None or delivery.bucket != watched.bucket:
        return None
    folder, kind = found
    name = parse_digest_key(folder, delivery.key) if kind == DIGEST_KIND else None
    base = base_of(watched.prefix)
    inner = folder.base.removeprefix(base).removesuffix("/") if folder.base.startswith(base) else None
    here = inner == "" or (inner is not None and ORGANIZATION.fullmatch(inner) is not None)
    if name is None or not here or REGION.fullmatch(folder.region) is None or name.end > now + AHEAD:
        return None
    arn = watched.trail
    if arn is not None and (name.chain.trail, name.chain.home_region) != (arn.name, arn.region):
        return None
    return folder.account, folder.region, name.end


def _windows(ends: Iterable[datetime]) -> Iterator[Interval]:
    """Hours to validate. A window begins with the predecessor's hour, so that the link between the two is checked."""
    window: Interval | None = None
    for end in sorted(ends):
        start = end - 2 * HOUR
        if window is not None and start - window.end <= JOINED:
            window = Interval(window.start, end)
            continue
        if window is not None:
            yield window
        window = Interval(start, end)
    if window is not None:
        yield window


def _objects(event: object, depth: int) -> Iterator[Delivery]:
    if depth > MAX_DEPTH or not isinstance(event, dict):
        return
    records = event.get("Records")
    if isinstance(records, list):
        for record in records:
            yield from _of_record(record, depth)
    elif event.get("source") == "aws.s3" and event.get("detail-type") == "Object Created":
        detail = _dict(event.get("detail"))
        yield from _delivery(_dict(detail.get("bucket")).get("name"), _dict(detail.get("object")).get("key"))
    elif "s3Bucket" in event:
        keys = event.get("s3ObjectKey")
        for key in keys if isinstance(keys, list) else [keys]:
            yield from _delivery(event.get("s3Bucket"), key)
    elif "Message" in event and "TopicArn" in event:  # SNS's envelope, as a queue gets it
        yield from _of_text(event.get("Message"), depth)


def _of_record(record: object, depth: int) -> Iterator[Delivery]:
    held = _dict(record)
    match held.get("eventSource") or held.get("EventSource"):
        case "aws:s3" if str(held.get("eventName", "")).removeprefix("s3:").startswith("ObjectCreated:"):
            s3 = _dict(held.get("s3"))
            key = _dict(s3.get("object")).get("key")
            yield from _delivery(
                _dict(s3.get("bucket")).get("name"), unquote_plus(key) if isinstance(key, str) else None
            )
        case "aws:sns":
            yield from _of_text(_dict(held.get("Sns")).get("Message"), depth)
        case "aws:sqs":
            yield from _of_text(held.get("body"), depth)
        case _:
            return


def _of_text(text: object, depth: int) -> Iterator[Delivery]:
    """What a message holds; nothing where it is no JSON, such as what CloudTrail sends when its topic is set."""
    if not isinstance(text, str):
        return
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return
    yield from _objects(inner, depth + 1)


def _delivery(bucket: object, key: object) -> Iterator[Delivery]:
    if isinstance(bucket, str) and isinstance(key, str) and len(bucket) < 256 and len(key) <= MAX_KEY:
        yield Delivery(bucket, key)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
