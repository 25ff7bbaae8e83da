"""One log file: was it delivered by CloudTrail, as it is.

The proof is a chain of steps: the file's hash is what a digest names for its key, and the digest is proven by its own
signature or by a successor's (`evidence.file_search`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace as replace_struct

from cloudtrail_validate.core.errors import (
    AbsentError,
    BucketAbsentError,
    ConfigurationError,
    RequestError,
    StoreError,
)
from cloudtrail_validate.core.gzip import Content, Inflater, MakeInflater
from cloudtrail_validate.core.layout import parse_trail_arn, region_in
from cloudtrail_validate.core.model import Interval, Locator
from cloudtrail_validate.core.trouble import refused
from cloudtrail_validate.evidence.file_search import FileProof, FileSearch, window_of
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.loop import run_loop
from cloudtrail_validate.session import Session, open_session
from cloudtrail_validate.stores.file_hash import hash_file


def prove_file(
    request: Request,
    where: Locator,
    *,
    path: Path | None = None,
    now: datetime,
    make: MakeInflater = Inflater,
    of_original: bool = False,
) -> FileProof:
    """Prove one log file.

    `request` says where the digests are (`bucket` or `source`), whose they are (`trail_arn`, or any trail's) and by
    which keys; its window does not matter. `path` is the file itself where it lies beside that place; else `make` makes
    the inflaters that read it, for who wants to look at the very content that is proven. In a bucket that is a copy,
    `where` is the file's place there, or, `of_original`, the place that it was copied from. Raises `RequestError` for a
    key that is no log file's, `ConfigurationError` and `AccessError` as `validate` does.
    """
    window = window_of(where.key)
    asked = replace(request, start=window.start, end=window.end)
    if request.copy_of is None:
        FileSearch(where, window, now, request.trail_arn)  # refused before anything is opened
    elif request.bucket is not None and not of_original:
        asked = replace(asked, prefix=where.key.rpartition("AWSLogs/")[0].rstrip("/") or None)
    asked.check(now)
    return run_loop(_prove(asked, where, path, window, now, make, of_original=of_original))


async def _prove(
    request: Request,
    where: Locator,
    path: Path | None,
    window: Interval,
    now: datetime,
    make: MakeInflater,
    *,
    of_original: bool,
) -> FileProof:
    arn = parse_trail_arn(request.trail_arn or "")
    # The trail is not looked up; it still says in which region AWS is asked.
    asked = replace(request, trail_arn=None, regions=(arn.region,) if arn else request.regions)
    session = await open_session(asked, window, now, like=region_in(where.key))
    try:
        if session.copy is not None:
            # In a bucket the file is named as it lies there, else by the key it was copied from.
            in_bucket = path is None and request.source is None and not of_original
            known = session.copy.original(where.key) if in_bucket else None
            where = Locator(session.copy.of_bucket, known or where.key)
        search = FileSearch(where, window, now, request.trail_arn)
        if session.aws is not None and session.copy is None:
            session.aws.limit_to(replace_struct(session.target, owner=search.owner))
        content = await _content(session, search.where, path, make)
        keys = await asyncio.to_thread(session.keys.region, search.folder.region)
        return await search.run(session, keys, content)
    except BucketAbsentError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    except StoreError as error:
        raise refused(
            error,
            f"cannot list the digests of {where}",
            permission="s3:ListBucket",
            on=where.bucket,
            login=session.aws.login if session.aws else None,
        ) from error
    finally:
        await session.store.close()


async def _content(
    session: Session, where: Locator, path: Path | None, make: MakeInflater
) -> Content | AbsentError | StoreError:
    """The file's content, or why there is none."""
    if path is not None:
        hashed = await asyncio.to_thread(hash_file, str(path))
        if isinstance(hashed, Content):
            return hashed
        raise RequestError(f"cannot read {path}: {hashed.detail if isinstance(hashed, StoreError) else hashed}")
    try:
        return await session.store.content(where, None, make=make)
    except BucketAbsentError:
        raise
    except (AbsentError, StoreError) as error:
        return error
