"""Connects to a Dask cluster. Everything else of this program knows only the Executor that it answers with.

The extra `ctvalidate[dask]` brings `distributed`. Workers need ctvalidate of the same version, and reach S3 by themselves.
"""

from __future__ import annotations

from concurrent.futures import Executor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable

_PATIENCE: Final = "10s"  # until a scheduler answers


class DaskExecutor:
    """A Dask cluster as an executor; `kill` gives up what is under way, and leaves the cluster to its owner."""

    def __init__(self, client: Any, workers: int) -> None:
        self.workers = workers
        # pure=False: equal calls are asked for again on purpose, and must be done again. retries are ours.
        self.executor: Executor = client.get_executor(pure=False, retries=0)
        self._client = client

    def kill(self) -> None:
        """Give up what is under way."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.close()

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close(timeout=2)


def connect(address: str) -> DaskExecutor:
    """Connect to a scheduler by its address, or by its file (`.json`).

    Raises `ConfigurationError` in one line: the extra is missing, nobody answers, no worker is there, versions differ.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigurationError("--executor: dask needs the extra: pip install 'ctvalidate[dask]'") from error
    make: Any = distributed.Client
    try:
        if address.endswith(".json"):
            if not Path(address).is_file():
                raise ConfigurationError(f"--executor: there is no scheduler file {address!r}")
            client = make(scheduler_file=address, timeout=_PATIENCE, set_as_default=False)
        else:
            client = make(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        said = printable(str(error).split("\n")[0]) or type(error).__name__
        raise ConfigurationError(f"--executor: no Dask scheduler answers at {address!r}: {said}") from error
    try:
        _check(client)
    except ConfigurationError:
        client.close(timeout=2)
        raise
    return DaskExecutor(client, sum(client.nthreads().values()))


def _check(client: Any) -> None:
    """Raise `ConfigurationError` where there are no workers, or some have another ctvalidate than this one."""
    own = version("ctvalidate")
    theirs = client.run(_version)
    if not theirs:
        raise ConfigurationError("--executor: the Dask cluster has no workers")
    other = {worker: found for worker, found in theirs.items() if found != own}
    if other:
        worker, found = next(iter(other.items()))
        has = f"has version {found}" if found else "does not have ctvalidate"
        raise ConfigurationError(f"--executor: the Dask worker {worker} {has}, expected {own} as here")


def _version() -> str | None:
    """The version of ctvalidate on a worker."""
    try:
        return version("ctvalidate")
    except PackageNotFoundError:
        return None
