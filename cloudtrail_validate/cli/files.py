"""Files that the command writes: whole or not at all, and never mistaken for another run's."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from cloudtrail_validate.core.layout import folder_of
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import takes_bytes, write_whole


def check_writable(option: str, path: Path) -> None:
    """Refuse a file that could not be written, before any work is done."""
    try:
        path.resolve()
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links is a RuntimeError until Python 3.13
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        raise click.UsageError(f"{option}: cannot write {printable(str(path))}: {reason}") from error
    if takes_bytes(path):
        if not os.access(path, os.W_OK):
            raise click.UsageError(f"{option}: expected a file that can be written to, got {str(path)!r}")
        return
    parent = path.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise click.UsageError(f"{option}: expected a file in a folder that can be written to, got {str(path)!r}")
    if path.is_dir():
        raise click.UsageError(f"{option}: expected a file, got the folder {str(path)!r}")


def check_apart(option: str, path: Path, source: Path | None) -> None:
    """Refuse a file or folder among the logs of a local copy: the next validation would call it planted."""
    if source is None:
        return
    here, copy = path.resolve(), source.resolve()
    if here.is_relative_to(copy) and folder_of("", f"{here.relative_to(copy).as_posix()}/") is not None:
        raise click.UsageError(
            f"{option}: {str(path)!r} lies among the logs of the copy, and would count as planted there: "
            "expected another place"
        )


def write_one(option: str, path: Path, data: bytes | str) -> bool:
    """Write a file. False, and a line on standard error, where it cannot be; an older one is then moved aside."""
    try:
        write_whole(path, data)
    except OSError as error:
        not_written(option, path, error)
        return False
    return True


def not_written(option: str, path: Path, error: OSError) -> None:
    """Say on standard error what hinders a file, and move what lies in its place aside."""
    reason = error.strerror or type(error).__name__
    click.echo(f"ctvalidate: {option}: cannot write {printable(str(path))}: {reason}{_set_aside(path)}", err=True)


@contextlib.contextmanager
def telling_of_older(paths: Iterable[Path]) -> Iterator[None]:
    """Where the body comes to no report, say of each file that lies in the place of one that it is another run's."""
    try:
        yield
    except BaseException:
        for path in paths:
            written = _written(path)
            if written is not None:
                name = printable(str(path))
                click.echo(
                    f"ctvalidate: --output: {name} is of an earlier run ({written:%Y-%m-%d %H:%M} UTC)", err=True
                )
        raise


def _set_aside(path: Path) -> str:
    """Move what lies there out of the place in which it would be taken for this run's report, and say so."""
    written = _written(path)
    if written is None:
        return ""
    aside = path.with_name(f"{path.name}.stale-{written:%Y%m%dT%H%M%SZ}")
    try:
        path.replace(aside)
    except OSError:
        return f"; what lies there is of an earlier run ({written:%Y-%m-%d %H:%M} UTC)"
    return f"; what an earlier run wrote there is now {printable(aside.name)}"


def _written(path: Path) -> datetime | None:
    """When a regular file was written, None where there is none."""
    try:
        status = path.lstat()
        return datetime.fromtimestamp(status.st_mtime, UTC) if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
