"""What a file system can hold in the place of a file: pipes, sockets, and links to anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from tests.stores.kit import gz


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def socket_file(path: Path) -> None:
    import socket

    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def link_out(path: Path) -> None:
    outside = path.parent.parent.parent / "outside.gz"
    outside.write_bytes(gz(b"secret"))
    path.symlink_to(outside)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to("..")


def many_links(path: Path) -> None:
    """More than the system follows, and than Python recurses."""
    for number in range(1200):
        path.with_name(f"link-{number:04}").symlink_to(f"link-{number + 1:04}")
    path.symlink_to("link-0000")


LINKS = [link_to_itself, link_to_device, link_out, link_to_nothing, link_to_a_folder, many_links]
