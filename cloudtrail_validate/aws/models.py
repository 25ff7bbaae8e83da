"""Loads botocore's service models with msgspec and isal: a third of the time that its own loader takes for them.

A run needs four of these files before its first request, 45 ms of a start of 0.35 s. botocore's loader takes a file loader
as an argument of its own (`botocore.loaders.Loader`); where a file is not what it should be, botocore's reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, overload

import msgspec
from botocore.loaders import JSONFileLoader, Loader
from isal import igzip, igzip_lib

if TYPE_CHECKING:
    from botocore.session import Session

_PLAIN_NAME: Final = re.compile("[a-z0-9-]{1,64}")
_DECODER: Final = msgspec.json.Decoder()
_IsalError = cast("type[Exception]", igzip_lib.IsalError)  # its stub says instance, not class


class ModelLoader(JSONFileLoader):
    """Reads one JSON file, gzipped or not, whose path comes without an ending."""

    def load_file(self, file_path: str) -> Any:
        """Return what a file holds, objects as plain dicts in the order of the file; None where there is no such file."""
        for path, read in ((f"{file_path}.json", bytes), (f"{file_path}.json.gz", igzip.decompress)):
            with suppress(OSError, EOFError, ValueError, _IsalError):  # msgspec's errors are ValueErrors
                return _DECODER.decode(read(Path(path).read_bytes()))
        return super().load_file(file_path)


class ServicesOf(Sequence[str]):
    """The services that have a model of one type, looked for when asked about one.

    botocore looks into 400 folders twice before the first client is made, to say whether it knows the one that it is asked
    about: 17 ms. Asked for all of them, it still does.
    """

    def __init__(self, loader: Loader, type_name: str) -> None:
        self._loader = loader
        self._type = type_name
        self._all: list[str] | None = None

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            return name in self._names()
        for path in map(Path, self._loader.search_paths):
            with suppress(OSError):
                versions = [entry for entry in (path / name).iterdir() if entry.is_dir()]
                if any(self._loader.file_loader.exists(str(version / self._type)) for version in versions):
                    return True
        return False

    def __len__(self) -> int:
        return len(self._names())

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._names()[index]

    def _names(self) -> list[str]:
        if self._all is None:
            self._all = Loader.list_available_services(self._loader, self._type)
        return self._all


def load_quickly(session: Session) -> None:
    """Have a botocore session load its models with `ModelLoader`, and look for those that it needs."""
    loader = session.get_component("data_loader")
    loader.file_loader = ModelLoader()
    loader.list_available_services = partial(ServicesOf, loader)
