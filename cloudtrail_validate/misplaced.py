"""Says what to give where what was asked for is a copy, or a part of a tree: one hint in place of many findings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from cloudtrail_validate.core.copies import Displacement, combined, is_prefix, options_for, trail_prefix
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.request import Request
from cloudtrail_validate.session import Session
from cloudtrail_validate.stores.copy_of import CopyStore
from cloudtrail_validate.stores.placement import displacements, find_digests
from cloudtrail_validate.stores.protocol import Store


def displaced(request: Request, copy: Displacement | None, seen: Displacement) -> ConfigurationError:
    """The error for a request whose digests all say that they were delivered elsewhere. `copy` is what was asked."""
    real = combined(copy, seen)
    where = str(request.source) if request.source is not None else f"s3://{request.bucket or real.bucket}/"
    stated = f", not to {request.copy_of}" if request.copy_of is not None else ""
    return ConfigurationError(
        printable(
            f"nothing was validated: all digests in {where} say that they were delivered to {real.place}/{stated}: "
            f"if this is a copy of it, give {_options(request, real)}"
        )
    )


async def missed(request: Request, session: Session, store: Store) -> ConfigurationError | None:
    """The error for a request that found no digest where there are some: they begin further down or up in the tree.

    `store` is that of the session, before anything stands in front of it.
    """
    if isinstance(store, CopyStore):
        return None
    bucket, prefix = session.target.bucket, session.target.prefix
    below = f"{prefix}/" if prefix and request.source is None else ""
    places = await find_digests(store, bucket, below)
    for seen in await displacements(store, places):
        if seen.moved and not (request.source is not None and _is_a_folders(seen)):
            return displaced(request, None, seen)
    return None


def _is_a_folders(seen: Displacement) -> bool:
    """Tell whether keys differ from a local copy's only in empty segments, which no folder can have."""
    return seen.here == re.sub("/+", "/", seen.there).lstrip("/")


def _options(request: Request, seen: Displacement) -> str:
    """The options to give. A part of a whole tree on this computer is named by the folder that holds the tree."""
    if request.source is None:
        return options_for(seen, request.prefix)
    folder = request.source.resolve()
    for root in folder.parents if "AWSLogs/" in seen.there else ():
        if f"{folder.relative_to(root).as_posix()}/{seen.here}" == seen.there:
            prefix = trail_prefix(seen, None)
            return f"--source {shlex.quote(str(root))}{f' --s3-prefix {shlex.quote(prefix)}' if prefix else ''}"
    if not seen.here or is_prefix(seen, request.prefix):
        return options_for(seen, request.prefix)
    nearer = Path(request.source, seen.here.strip("/"))
    return f"--source {shlex.quote(str(nearer))} {options_for(seen, seen.here)}"
