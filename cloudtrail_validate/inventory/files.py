"""Reads and writes inventories: a line of JSON an object, or Parquet where the file is named so. Hostile when read back."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report.references import to_json
from cloudtrail_validate.runtime.files import open_regular, write_whole

PARQUET: Final = ".parquet"
MOST_BYTES: Final = 16 * 1024**3  # of a file that is read back
MOST_LINE: Final = 16 * 1024  # bytes: a key has 1,024
_ROWS: Final = 65_536  # of Parquet that are read at once
_LINES: Final = re.compile(r"\.(jsonl|ndjson)")
Text = Annotated[str, msgspec.Meta(max_length=4_096)]


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One proven object: where it lies, how large it is as stored (bytes), and the SHA-256 of these bytes in hex.

    `etag` is what the listing said, empty where it was not listed; `sort` what it is; `proven` when it was.
    """

    bucket: Text
    key: Text
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    etag: Text
    sort: Literal["digest", "log"]
    proven: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def name(self) -> tuple[str, str]:
        """Bucket and key."""
        return (self.bucket, self.key)


def check(path: Path) -> None:
    """Raise `ConfigurationError` where a file of this name cannot be an inventory."""
    if path.suffix == PARQUET:
        _pyarrow()
    elif _LINES.fullmatch(path.suffix) is None:
        raise ConfigurationError(f"--inventory: expected a file named .jsonl or .parquet, got {printable(str(path))!r}")


def read(path: Path) -> Iterator[Item]:
    """Read an inventory. Raises `ConfigurationError` in one line for what is none."""
    check(path)
    try:
        yield from _parquet_items(path) if path.suffix == PARQUET else _line_items(path)
    except (OSError, ValueError, OverflowError) as error:  # msgspec's and pyarrow's errors are ValueErrors
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigurationError(f"--inventory: cannot read {printable(str(path))}: {printable(str(what))}") from error


def write(path: Path, items: Sequence[Item]) -> None:
    """Write an inventory whole, or not at all. Raises `ConfigurationError`."""
    try:
        if path.suffix == PARQUET:
            write_whole(path, _parquet(items))
        else:
            write_whole(path, "".join(f"{to_json(item)}\n" for item in items))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(printable(f"--inventory: cannot write {path}: {reason}")) from error


def _line_items(path: Path) -> Iterator[Item]:
    decoder = msgspec.json.Decoder(Item)
    with open_regular(path, follow=True) as raw:
        lines = io.BufferedReader(raw)  # type: ignore[type-var]  # a FileIO, though typed as any binary file
        number = 0
        while line := lines.readline(MOST_LINE):
            number += 1
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"line {number}: {error}") from error


def _parquet_items(path: Path) -> Iterator[Item]:
    arrow = _pyarrow()
    with arrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                yield msgspec.convert(row, Item)


def _parquet(items: Iterable[Item]) -> bytes:
    arrow = _pyarrow()
    schema = arrow.schema(
        [
            *((name, arrow.string()) for name in ("bucket", "key")),
            ("size", arrow.int64()),
            *((name, arrow.string()) for name in ("sha256", "etag", "sort")),
            ("proven", arrow.timestamp("s", tz="UTC")),
        ]
    )
    table = arrow.Table.from_pylist([msgspec.structs.asdict(item) for item in items], schema=schema)
    sink = arrow.BufferOutputStream()
    arrow.parquet.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigurationError("--inventory: Parquet needs pip install 'ctvalidate[parquet]'") from error
    return pyarrow
