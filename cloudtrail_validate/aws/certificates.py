"""Trusted certificates, read once for all clients.

urllib3 reads the file of them for each connection that it opens: 13 ms of CPU with certifi's, so 0.2 s of a run over 17
regions. Here clients share a TLS context, which does not read a file again. What is verified, and against what, stays.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.httpsession import create_urllib3_context

if TYPE_CHECKING:
    import ssl

    from botocore.client import BaseClient


def context_that_reads_once() -> ssl.SSLContext:
    """Return a context as botocore makes them, which reads each file of certificates once. A failure is not remembered."""
    context: ssl.SSLContext = create_urllib3_context()
    read, lock, done = context.load_verify_locations, threading.Lock(), set[tuple[Any, ...]]()

    def read_once(cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        where = (cafile, capath, cadata)
        with lock:
            if where not in done:
                read(*where)
                done.add(where)

    setattr(context, "load_verify_locations", read_once)  # noqa: B010  # mypy takes no method
    return context


def share(client: BaseClient, context: ssl.SSLContext) -> None:
    """Have a new client open its connections with a context; those through a proxy keep their own.

    botocore has no public way to do so. Where it is not where it is now looked for, each connection reads as before.
    """
    with suppress(AttributeError):
        inner: Any = client  # whose private parts no stub knows
        inner._endpoint.http_session._manager.connection_pool_kw["ssl_context"] = context
