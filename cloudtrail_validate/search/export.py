"""Events in files for databases: JSON lines or Parquet, in Hive folders by account, region and day, each row with its proof.

    DIR/account=111122223333/region=us-east-1/day=2026-01-01/events-0001.jsonl
    DIR/_export.json                                        written last: what was asked, and what the validation said

Folders are named after the log's key, which is checked, and never after what an event says of itself; a day is that of the
event where it is near that of its log. Readers of Hive folders pass over names that begin with an underscore.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from cloudtrail_validate.core.digest import parse_time
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.layout import folder_of, log_minute
from cloudtrail_validate.report import Report
from cloudtrail_validate.runtime.files import write_pieces
from cloudtrail_validate.search.event import Event, mend
from cloudtrail_validate.search.hits import Hit
from cloudtrail_validate.search.outcome import Outcome

FORMATS: Final = ("jsonl", "parquet")
MANIFEST: Final = "_export.json"
_HELD: Final = 64 * 1024 * 1024  # bytes of rows of all folders together
_ROW_GROUP: Final = 16 * 1024 * 1024  # of one folder: a file of its own
_NEAR: Final = timedelta(days=2)
_UNKNOWN: Final = "unknown"


class Row(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One event, under CloudTrail's names.

    Nested values and the event itself are JSON text, so that columns are the same for all events.
    """

    event_time: datetime | None
    event_name: str
    event_source: str
    event_id: str = msgspec.field(name="eventID")
    event_type: str | None
    source_address: str | None = msgspec.field(name="sourceIPAddress")
    user_agent: str | None
    error_code: str | None
    error_message: str | None
    read_only: bool | None
    recipient_account_id: str | None
    aws_region: str
    user_type: str | None
    user_name: str | None
    user_arn: str | None
    principal_id: str | None
    access_key_id: str | None
    invoked_by: str | None
    request_parameters: str | None
    response_elements: str | None
    resources: str | None
    additional_event_data: str | None
    event: str
    proof: str
    proof_rule: str | None
    digest: str | None
    log: str
    bucket: str


class Partition(NamedTuple):
    """A folder of the export."""

    account: str
    region: str
    day: str

    @property
    def path(self) -> str:
        """Its path below the export's folder."""
        return f"account={self.account}/region={self.region}/day={self.day}"


class Exporter:
    """Writes events to files as they come. A sink of the search.

    `failure` is what hindered it: nothing more is written then. Raises `ConfigurationError` where the format's extra is not
    installed.
    """

    def __init__(self, folder: Path, format_: str) -> None:
        self._folder = folder
        self._format = format_
        self._encode = _parquet() if format_ == "parquet" else _json_lines
        self._held: dict[Partition, list[Row]] = {}
        self._sizes: Counter[Partition] = Counter()
        self._files: Counter[Partition] = Counter()
        self._bytes = 0
        self.events = 0
        self.failure: OSError | None = None

    @property
    def files(self) -> int:
        """Files written so far."""
        return sum(self._files.values())

    def add(self, hit: Hit, event: Event) -> None:
        """Take an event in."""
        if self.failure is not None:
            return
        partition = partition_of(hit, event)
        self._held.setdefault(partition, []).append(row_of(hit, event))
        size = 2 * len(hit.raw) + 1_000
        self._sizes[partition] += size
        self._bytes += size
        self.events += 1
        if self._sizes[partition] > _ROW_GROUP:
            self._write(partition)
        elif self._bytes > _HELD:
            for large, _ in self._sizes.most_common():
                self._write(large)
                if self._bytes < _HELD // 2:
                    break

    def finish(self, outcome: Outcome, report: Report) -> None:
        """Write what is held, and the manifest."""
        for partition in list(self._held):
            self._write(partition)
        manifest = {
            "schema": "ctvalidate.export/1",
            "tool": report.tool,
            "request": report.request,
            "run": report.run,
            "verdict": report.verdict,
            "exit_code": report.exit_code,
            "format": self._format,
            "events": self.events,
            "files": self.files,
            "proven": outcome.proven,
            "unproven": outcome.rules,
            "withheld": outcome.withheld,
            "not_searched": outcome.unsearched,
        }
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        self._put(self._folder / MANIFEST, data + b"\n")

    def _write(self, partition: Partition) -> None:
        rows = self._held.pop(partition)
        self._bytes -= self._sizes.pop(partition)
        self._files[partition] += 1
        name = f"events-{self._files[partition]:04}.{self._format}"
        self._put(self._folder / partition.path / name, self._encode(rows))

    def _put(self, path: Path, data: bytes) -> None:
        if self.failure is None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_pieces(path, [data], sync=False)
            except OSError as error:
                self.failure = error


def partition_of(hit: Hit, event: Event) -> Partition:
    """Return the folder of an event: account and region of its log's key, and the day."""
    found, minute = folder_of("", hit.proof.log), log_minute(hit.proof.log)
    if found is None or minute is None:
        return Partition(_UNKNOWN, _UNKNOWN, _UNKNOWN)
    moment = parse_time(event.time)
    if moment is None or abs(moment - minute) > _NEAR:
        moment = minute
    return Partition(found[0].account, found[0].region, f"{moment:%Y-%m-%d}")


def row_of(hit: Hit, event: Event) -> Row:
    """Return the row of an event."""
    who, proof = event.who, hit.proof
    return Row(
        parse_time(event.time),
        event.name,
        event.source,
        event.id,
        event.type,
        event.address,
        event.agent,
        event.error,
        event.error_message,
        event.read_only,
        event.account,
        event.region,
        who.type,
        who.user_name,
        who.arn,
        who.principal_id,
        who.access_key_id,
        who.invoked_by,
        _text(event.parameters),
        _text(event.response),
        _text(event.resources),
        _text(event.additional),
        _sound(hit.raw),
        proof.status,
        proof.rule or None,
        _plain(proof.digest) or None,
        _plain(proof.log),
        _plain(proof.bucket),
    )


def _text(raw: msgspec.Raw) -> str | None:
    data = bytes(raw)
    return None if not data or data == b"null" else _sound(data)


def _sound(data: bytes) -> str:
    """JSON that every reader takes, as text; what cannot be read at all is told so."""
    try:
        text = data.decode("utf-8")
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        mended = mend(data)
        return mended.decode() if mended is not None else "null"
    return text


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _json_lines(rows: Sequence[Row]) -> bytes:
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(row) + b"\n" for row in rows)


def _parquet() -> Callable[[Sequence[Row]], bytes]:
    """The encoder of Parquet files. Raises `ConfigurationError` where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            "--format parquet: expected the parquet extra: pip install 'ctvalidate[parquet]'"
        ) from error
    arrow: Any = pa
    kinds = {"eventTime": arrow.timestamp("ms", tz="UTC"), "readOnly": arrow.bool_()}
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(Row)}
    schema = arrow.schema([(column, kinds.get(column, arrow.string())) for column in fields])

    def encode(rows: Sequence[Row]) -> bytes:
        columns = {column: [getattr(row, name) for row in rows] for column, name in fields.items()}
        sink = arrow.BufferOutputStream()
        pq.write_table(arrow.table(columns, schema=schema), sink, compression="zstd")
        data: bytes = sink.getvalue().to_pybytes()
        return data

    return encode
