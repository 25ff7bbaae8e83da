"""Evidence: what an object was before, when it changed, and how the original comes back.

CloudTrail writes each key once. Where a bucket keeps versions, an object that was overwritten or deleted is still there
as an older version, and what proves it is what proves every object: a log by the SHA-256 of its inflated content, which
its digest holds; a digest by its own signature, or by what its proven successor recorded of it.

`versions` looks, `recover` brings the originals back, `diff` compares two logs event by event. The values are here,
free of I/O, so that a report can hold them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from cloudtrail_validate.core.model import Cause

__all__ = ["Change", "Changed", "Changes", "Counts", "Event", "Original", "Version", "Versions"]

Number = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""What every reader of JSON can hold exactly."""


class Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of an object, or one delete marker (`size` is null then).

    `proven` says whether it is what AWS delivered, null where that could not be decided: `cause` tells why where it
    could not be read. `version_id` is `null` (four letters) for what was written while the bucket kept no versions.
    """

    version_id: str
    last_modified: datetime
    size: Number | None
    is_latest: bool
    delete_marker: bool
    proven: bool | None
    cause: Cause | None


class Original(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The oldest version that is proven: the one AWS delivered. `sha256` (hex) is that of its inflated content."""

    version_id: str
    last_modified: datetime
    sha256: str


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Identifies an event; fields are null where it does not say. `problem` is why it could not be read."""

    event_id: str | None = None
    time: str | None = None
    name: str | None = None
    source: str | None = None
    region: str | None = None
    actor: str | None = None
    address: str | None = None
    problem: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value, by its path in the event; before and after as JSON text (cut when long), null where it is absent."""

    path: str
    before: str | None
    after: str | None


class Changed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event of both sides with other content. `total` counts all its changes, of which not all may be listed."""

    event: Event
    changes: tuple[Change, ...]
    total: Number


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exact numbers of events; the lists beside them may hold fewer."""

    unchanged: Number
    removed: Number
    added: Number
    changed: Number
    duplicates: Number


class Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lists how an altered log differs from its original, event by event: the first events of each sort.

    `verdict` and `counts` are those of `ctvalidate diff`, which lists them all. `problem` is why events could not be
    told apart, where they could not.
    """

    verdict: Literal["same", "different", "unknown"]
    counts: Counts
    removed: tuple[Event, ...] = ()
    added: tuple[Event, ...] = ()
    changed: tuple[Changed, ...] = ()
    problem: str | None = None


class Versions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds what the bucket's versions tell of one object.

    `versions` are newest first; of very many only the newest and oldest are there, and `note` says so. `replaced_at`
    is when the original stopped being current, `deleted_at` when the object that is gone now was deleted.
    `restore_command` makes the original current again (a line for a POSIX shell), null where none is needed or
    possible. `note` is one sentence on what is missing and what to do about it. `changes` is there where the original of
    a log and what lies in its place now could be compared.
    """

    versions: tuple[Version, ...] = ()
    original: Original | None = None
    replaced_at: datetime | None = None
    deleted_at: datetime | None = None
    restore_command: str | None = None
    note: str | None = None
    changes: Changes | msgspec.UnsetType = msgspec.UNSET
