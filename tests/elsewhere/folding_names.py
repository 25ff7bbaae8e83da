"""A file system that finds names whatever their case, for this process: the calls that look a name up, wrapped."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Final

from cloudtrail_validate.core.portable import folded

_ONE: Final = (
    "open",
    "stat",
    "lstat",
    "mkdir",
    "unlink",
    "remove",
    "rmdir",
    "utime",
    "chmod",
    "listdir",
    "scandir",
    "readlink",
)
_TWO: Final = ("rename", "replace", "link")
_listdir = os.listdir


def install() -> None:
    """Wrap them."""
    for name in (*_ONE, *_TWO):
        real = getattr(os, name)
        wrapped = _wrapped(real, 1 if name in _ONE else 2)
        setattr(os, name, wrapped)
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if real in able:
                able.add(wrapped)
    io.open = _wrapped(io.open, 1)  # pathlib's


def _wrapped(call: Callable[..., Any], paths: int) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        folder = options.get("dir_fd")
        folders = (folder, folder) if paths == 1 else (options.get("src_dir_fd"), options.get("dst_dir_fd"))
        found = [_found(path, at) for path, at in zip(args[:paths], folders, strict=False)]
        return call(*found, *args[paths:], **options)

    return wrapped


def _found(path: Any, folder: int | None) -> Any:
    """The path as it lies there; what does not lie there stays as it was said."""
    if isinstance(path, int):
        return path
    text = os.fspath(path)
    if isinstance(text, bytes) or text.startswith("/proc/"):
        return path
    absolute = text.startswith("/")
    # By its path: a descriptor of O_PATH cannot be listed.
    at: Any = "/" if absolute else ("." if folder is None else f"/proc/self/fd/{folder}")
    said: list[str] = []
    for part in text.split("/"):
        name = part
        if part not in ("", ".", ".."):
            try:
                names = _listdir(at)
            except OSError:
                names = []
            if part not in names:
                name = next((other for other in names if folded(other) == folded(part)), part)
        said.append(name)
        at = "/".join(said) or "/"
        if not absolute and folder is not None:
            at = f"/proc/self/fd/{folder}/{at}"
    return "/".join(said)
