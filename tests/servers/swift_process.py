"""OpenStack Swift with its S3 API, all of it in this one process: `python -m tests.servers.swift_process FOLDER`.

Prints its address once it answers, and ends with its standard input. One device, one replica, object versioning on.
Each of its four servers listens on a port of the system's choice, and the rings name those ports.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402  # after the patch, as everything that follows
from swift.common import constraints, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

from tests.servers.clients import SECRET_KEY  # noqa: E402

_SWIFT: Final = """
    [swift-hash]
    swift_hash_path_prefix = tests
    swift_hash_path_suffix = tests
    [storage-policy:0]
    name = only
    default = yes
    [swift-constraints]
    max_meta_value_length = 4096
"""
# A digest's signature is 512 characters, and 256 is the default above.
_STORAGE: Final = """
    [DEFAULT]
    devices = {devices}
    swift_dir = {folder}
    mount_check = false
    disable_fallocate = true
    [pipeline:main]
    pipeline = {sort}-server
    [app:{sort}-server]
    use = egg:swift#{sort}
"""
_PROXY: Final = """
    [DEFAULT]
    swift_dir = {folder}
    [pipeline:main]
    pipeline = catch_errors gatekeeper listing_formats s3api tempauth copy slo versioned_writes symlink proxy-server
    [app:proxy-server]
    use = egg:swift#proxy
    account_autocreate = true
    allow_account_management = true
    [filter:catch_errors]
    use = egg:swift#catch_errors
    [filter:gatekeeper]
    use = egg:swift#gatekeeper
    [filter:listing_formats]
    use = egg:swift#listing_formats
    [filter:s3api]
    use = egg:swift#s3api
    s3_acl = false
    [filter:tempauth]
    use = egg:swift#tempauth
    user_test_tester = {secret} .admin
    [filter:versioned_writes]
    use = egg:swift#versioned_writes
    allow_object_versioning = true
    [filter:copy]
    use = egg:swift#copy
    [filter:slo]
    use = egg:swift#slo
    [filter:symlink]
    use = egg:swift#symlink
"""


class _Memory:
    """Stands in for memcached: what the middlewares ask of it, in a dictionary."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def get(self, key: str, **_: object) -> Any:
        return self._held.get(key)

    def set(self, key: str, value: Any, **_: object) -> bool:
        self._held[key] = value
        return True

    def incr(self, key: str, delta: int = 1, **_: object) -> int:
        self._held[key] = int(self._held.get(key, 0)) + delta
        return int(self._held[key])

    def delete(self, key: str, **_: object) -> None:
        self._held.pop(key, None)


def _write(path: Path, text: str, **values: object) -> str:
    path.write_text(dedent(text).format(**values), encoding="utf-8")
    return str(path)


def _ring(folder: Path, sort: str, port: int) -> None:
    """One device that holds everything."""
    builder = RingBuilder(part_power=0, replicas=1, min_part_hours=0)
    place = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "disk", "meta": "", **place})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{sort}.ring.gz"))


def serve(folder: Path) -> str:
    """Start all four servers and return the address of the S3 API."""
    devices = folder / "devices"
    (devices / "disk").mkdir(parents=True)
    _write(folder / "swift.conf", _SWIFT)
    utils.set_swift_dir(str(folder))
    utils.validate_hash_conf()
    constraints.reload_constraints()
    logger = utils.NullLogger()
    for sort in ("account", "container", "object"):
        socket = eventlet.listen(("127.0.0.1", 0))
        _ring(folder, sort, socket.getsockname()[1])
        app = loadapp(_write(folder / f"{sort}.conf", _STORAGE, sort=sort, devices=devices, folder=folder))
        eventlet.spawn(wsgi.server, socket, app, logger)
    proxy, memory = loadapp(_write(folder / "proxy.conf", _PROXY, folder=folder, secret=SECRET_KEY)), _Memory()

    def remembering(environ: dict[str, Any], start_response: Any) -> Any:
        environ["swift.cache"] = memory
        return proxy(environ, start_response)

    socket = eventlet.listen(("127.0.0.1", 0))
    eventlet.spawn(wsgi.server, socket, remembering, logger)
    return f"http://127.0.0.1:{socket.getsockname()[1]}"


def main() -> None:
    """Serve until standard input ends."""
    sys.stdout.write(serve(Path(sys.argv[1])) + "\n")
    sys.stdout.flush()
    eventlet.tpool.execute(_wait)


def _wait() -> None:
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main()
