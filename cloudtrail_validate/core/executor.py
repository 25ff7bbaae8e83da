"""Reads what `--executor` says: where the work of a run is done. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import RequestError

MOST_WORKERS: Final = 512  # processes of one machine: twice the cores of the largest there are
_LOCAL: Final = re.compile(r"local(?::(?P<number>[0-9]{1,6}))?")


class Auto(msgspec.Struct, frozen=True):
    """Places the work in this process, or in one a core where it pays for their start."""


class LocalProcesses(msgspec.Struct, frozen=True):
    """Places the work in so many processes of this machine; None: one a core."""

    number: int | None


class DaskCluster(msgspec.Struct, frozen=True):
    """Places the work on a Dask cluster: a scheduler's address, or the path of its scheduler file (`.json`)."""

    address: str


Place = Auto | LocalProcesses | DaskCluster


def parse_executor(text: str) -> Place:
    """Read `auto`, `local`, `local:N`, `dask:ADDRESS` or `dask:FILE.json`. Raises `RequestError`."""
    if text == "auto":
        return Auto()
    match = _LOCAL.fullmatch(text)
    if match is not None:
        if match["number"] is None:
            return LocalProcesses(None)
        number = int(match["number"])
        if 1 <= number <= MOST_WORKERS:
            return LocalProcesses(number)
        raise RequestError(f"--executor: expected 1 to {MOST_WORKERS} processes, got {text!r}")
    scheme, colon, address = text.partition(":")
    if scheme == "dask" and colon and address:
        return DaskCluster(address)
    raise RequestError(f"--executor: expected auto, local[:N], dask:ADDRESS or dask:FILE.json, got {text!r}")
