"""A state as `ctvalidate state show` prints it: everything that it holds, with times that people read. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from cloudtrail_validate.core.model import Interval, Kind, Locator, Status
from cloudtrail_validate.report import Time
from cloudtrail_validate.state.codec import SCHEMA
from cloudtrail_validate.state.model import RegionState, State, moment_of

VIEW: Literal["ctvalidate.state-view/1"] = "ctvalidate.state-view/1"
Number = Annotated[int, msgspec.Meta(ge=0)]


class StretchView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proven hours: an hour or a day. `fingerprint` is in hex; `proven` is when it was first proven, `read` last read."""

    start: Time
    end: Time
    digests: Number
    logs: Number
    proven: Time
    read: Time
    fingerprint: str


class EdgeView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest proven digest of a chain, or one that is not there as it was. `sha256` and `signature` are in hex."""

    trail: str
    home_region: str
    kind: Kind
    bucket: str | None
    key: str
    end: Time
    sha256: str
    signature: str


class RegionView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account-region. `unproven` are hours that are asked for again in each run, `owed` starts of what is read first."""

    account: str
    region: str
    organization_id: str | None
    hours: Number
    digests: Number
    logs: Number
    unproven: tuple[tuple[Time, Time], ...]
    owed: tuple[Time, ...]
    edges: tuple[EdgeView, ...]
    stretches: tuple[StretchView, ...]


class OpenView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that no run has found healed."""

    rule: str
    status: Status
    account: str | None
    region: str | None
    trail: str | None
    bucket: str | None
    key: str | None
    start: Time | None
    end: Time | None
    expected: str | None
    first_seen: Time
    last_seen: Time
    times: Number


class StateView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole state. `format` is that of the file, `bytes` its size; `signed` the key that it says signed it.

    `signature_checked` is true where that was checked; `signed` is then that key's SHA-256 (of its DER, in hex).
    """

    schema: Literal["ctvalidate.state-view/1"] = VIEW
    format: str = SCHEMA
    target: str
    bytes: Number
    signed: str | None
    signature_checked: bool
    source: str
    trail_arn: str | None
    saved: Time
    saved_by: str
    runs: Number
    regions: tuple[RegionView, ...]
    open: tuple[OpenView, ...]


def view_of(state: State, target: str, size: int, signed: str | None, *, checked: bool) -> StateView:
    """Everything that a state holds."""
    return StateView(
        target=target,
        bytes=size,
        signed=signed,
        signature_checked=checked,
        source=state.source,
        trail_arn=state.trail_arn,
        saved=state.saved,
        saved_by=state.version,
        runs=state.runs,
        regions=tuple(_region(region) for region in state.regions),
        open=tuple(
            OpenView(
                rule=item.rule,
                status=item.status,
                account=item.account,
                region=item.region,
                trail=item.trail,
                expected=item.expected,
                first_seen=item.first_seen,
                last_seen=item.last_seen,
                times=item.times,
                **_where(item.where),
                **_span(item.interval),
            )
            for item in state.open
        ),
    )


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of what is printed."""
    (root,), components = msgspec.json.schema_components((StateView,), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{VIEW.replace('/', ':')}",
        "title": VIEW,
        **root,
        "$defs": components,
    }


def _region(region: RegionState) -> RegionView:
    return RegionView(
        account=region.account,
        region=region.region,
        organization_id=region.organization_id,
        hours=sum(item.length for item in region.stretches),
        digests=sum(item.digests for item in region.stretches),
        logs=sum(item.logs for item in region.stretches),
        unproven=tuple((moment_of(start), moment_of(end)) for start, end in region.unproven),
        owed=tuple(moment_of(start) for start in region.owed),
        edges=tuple(_edges(region)),
        stretches=tuple(
            StretchView(
                start=item.interval.start,
                end=item.interval.end,
                digests=item.digests,
                logs=item.logs,
                proven=moment_of(item.proven),
                read=moment_of(item.read),
                fingerprint=item.fingerprint.hex(),
            )
            for item in region.stretches
        ),
    )


def _edges(region: RegionState) -> Iterable[EdgeView]:
    for edge in region.edges:
        yield EdgeView(
            trail=edge.chain.trail,
            home_region=edge.chain.home_region,
            kind=edge.chain.kind,
            bucket=edge.where.bucket or None,
            key=edge.where.key,
            end=edge.end,
            sha256=edge.sha256,
            signature=edge.signature,
        )


def _where(where: Locator | None) -> dict[str, Any]:
    return {"bucket": (where.bucket or None) if where else None, "key": where.key if where else None}


def _span(interval: Interval | None) -> dict[str, Any]:
    return {"start": interval.start if interval else None, "end": interval.end if interval else None}
