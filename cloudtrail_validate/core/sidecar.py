"""The file beside a digest in a copy on disk: its S3 user metadata, which copying to a disk loses.

`KEY.metadata.json` is one JSON object of strings. Pure: nothing is raised on hostile content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

SIDECAR: Final = ".metadata.json"
MAX_BYTES: Final = 64 * 1024  # S3 itself allows 2 kB of user metadata
_DECODER: Final = msgspec.json.Decoder(dict[str, str])


def read_sidecar(content: bytes) -> dict[str, str]:
    """Return the metadata that a sidecar holds. One that is no JSON object of strings, in UTF-8, holds none."""
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def write_sidecar(metadata: Mapping[str, str]) -> bytes:
    """Return the sidecar of a digest with this metadata, the same bytes each time."""
    return msgspec.json.encode(dict(metadata), order="sorted")
