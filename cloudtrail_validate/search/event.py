"""One event: the fields that are asked for most, typed, and the rest as the bytes they were.

Field names are CloudTrail's (AWS CloudTrail User Guide, "CloudTrail record contents"). An event may hold anything: a value
of another type than CloudTrail writes counts as absent, and never raises. Pure.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec

_READING: Final = ("Get", "List", "Describe", "Head", "Lookup", "BatchGet", "Search", "Scan", "Query", "Select")
ROOT: Final = "Root"
_NOTHING: Final = msgspec.Raw(b"")


class Issuer(msgspec.Struct, frozen=True, gc=False):
    """The role or user behind temporary credentials."""

    arn: str | None = None
    user_name: str | None = msgspec.field(name="userName", default=None)


class SessionContext(msgspec.Struct, frozen=True, gc=False):
    """What is known of a session of temporary credentials."""

    issuer: Issuer | None = msgspec.field(name="sessionIssuer", default=None)


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Who called."""

    type: str | None = None
    arn: str | None = None
    principal_id: str | None = msgspec.field(name="principalId", default=None)
    account_id: str | None = msgspec.field(name="accountId", default=None)
    access_key_id: str | None = msgspec.field(name="accessKeyId", default=None)
    user_name: str | None = msgspec.field(name="userName", default=None)
    invoked_by: str | None = msgspec.field(name="invokedBy", default=None)
    session: SessionContext | None = msgspec.field(name="sessionContext", default=None)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything by which a person would call this principal: ARNs, names, role and session, ids."""
        issuer = self.session.issuer if self.session else None
        said = [self.arn, self.user_name, self.principal_id, self.invoked_by]
        said += [issuer.arn, issuer.user_name] if issuer else []
        said += (self.arn or "").partition("/")[2].split("/") if "/" in (self.arn or "") else []
        said += [(self.arn or "").rpartition("/")[2], "root" if self.type == ROOT else None]
        return tuple(dict.fromkeys(name for name in said if name))

    @property
    def owner(self) -> str:
        """The principal without its session: the role of temporary credentials, else as `principal`."""
        issuer = self.session.issuer if self.session else None
        return (issuer.arn if issuer else None) or self.principal

    @property
    def principal(self) -> str:
        """The one name under which this principal is listed: its ARN, or what there is instead."""
        return self.arn or self.invoked_by or self.principal_id or self.user_name or self.account_id or ""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. Fields are empty or None where an event has none; the last four are JSON as it was written."""

    time: str = msgspec.field(name="eventTime", default="")
    name: str = msgspec.field(name="eventName", default="")
    source: str = msgspec.field(name="eventSource", default="")
    id: str = msgspec.field(name="eventID", default="")
    region: str = msgspec.field(name="awsRegion", default="")
    address: str | None = msgspec.field(name="sourceIPAddress", default=None)
    agent: str | None = msgspec.field(name="userAgent", default=None)
    error: str | None = msgspec.field(name="errorCode", default=None)
    error_message: str | None = msgspec.field(name="errorMessage", default=None)
    read_only: bool | None = msgspec.field(name="readOnly", default=None)
    type: str | None = msgspec.field(name="eventType", default=None)
    account: str | None = msgspec.field(name="recipientAccountId", default=None)
    identity: Identity | None = msgspec.field(name="userIdentity", default=None)
    parameters: msgspec.Raw = msgspec.field(name="requestParameters", default=_NOTHING)
    response: msgspec.Raw = msgspec.field(name="responseElements", default=_NOTHING)
    resources: msgspec.Raw = msgspec.field(default=_NOTHING)
    additional: msgspec.Raw = msgspec.field(name="additionalEventData", default=_NOTHING)

    @property
    def who(self) -> Identity:
        """Who called; an identity of which nothing is known where the event names none."""
        return self.identity or Identity()

    @property
    def reads(self) -> bool:
        """Whether the call only reads; of events that do not say so (version 1.03 and before) the name tells."""
        return self.name.startswith(_READING) if self.read_only is None else self.read_only


_EVENT: Final = msgspec.json.Decoder(Event)
_ANY: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder()
_RAW: Final = frozenset({"requestParameters", "responseElements", "resources", "additionalEventData"})
T = TypeVar("T", bound=msgspec.Struct)


def read_event(raw: bytes) -> Event | None:
    """Return the event, None where the bytes are no JSON object that could be read."""
    try:
        return _EVENT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # other types, or what not every reader takes
        event = _read_oddly(raw)
        mended = mend(raw) if event is None else None
        return event if mended is None else _read_oddly(mended)


def value_of(raw: bytes | msgspec.Raw) -> Any:
    """Return a JSON value as Python's own types, None where it cannot be read."""
    if not bytes(raw):
        return None
    try:
        return _VALUE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        mended = mend(bytes(raw))
        return _VALUE.decode(mended) if mended is not None else None


def mend(raw: bytes) -> bytes | None:
    """Return JSON that not every reader takes as JSON that all do, None where it cannot be read at all.

    Lone surrogates, which a service that cuts a text may write, become U+FFFD; so does what is no UTF-8.
    """
    try:
        text = json.dumps(json.loads(raw.decode("utf-8", "replace")), ensure_ascii=False, allow_nan=False)
        mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        _VALUE.decode(mended)
    except (ValueError, RecursionError):  # what msgspec raises is a ValueError as well
        return None
    return mended


def _read_oddly(raw: bytes) -> Event | None:
    """An event of which some field has a type that CloudTrail never writes: those fields are absent."""
    try:
        fields = _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    plain = {name: value if name in _RAW else value_of(value) for name, value in fields.items()}
    return _fitting(Event, plain)


def _fitting(sort: type[T], values: dict[str, Any]) -> T:
    """A struct of those values that have the type of its fields; what is itself a struct likewise."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(sort):
        value = values.get(field.encode_name)
        inner = _STRUCTS.get(field.encode_name)
        if isinstance(value, msgspec.Raw):
            kept[field.name] = value
        elif inner is not None:
            kept[field.name] = _fitting(inner, value) if isinstance(value, dict) else None
        elif (isinstance(value, bool) and field.name == "read_only") or (
            isinstance(value, str) and field.name != "read_only"
        ):
            kept[field.name] = value
    return sort(**kept)


_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    "userIdentity": Identity,
    "sessionContext": SessionContext,
    "sessionIssuer": Issuer,
}
