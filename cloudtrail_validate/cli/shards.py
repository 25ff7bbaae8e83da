"""What `--shard`, `plan` and `merge` share: where parts are kept, and which part this is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.core.errors import ConfigurationError, RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.files import read_at_most, write_whole

if TYPE_CHECKING:
    from cloudtrail_validate.distribute.parts import Part
    from cloudtrail_validate.request import Request

ENDING: Final = ".part"  # of a part's name in a folder
ARRAY_INDEX: Final = "AWS_BATCH_JOB_ARRAY_INDEX"
"""The environment variable in which AWS Batch tells each child of an array job its number, from 0."""


def check(part: str | None, shard: str | None) -> str | None:
    """The shard asked for; `/N` alone takes I from AWS Batch. Raises `RequestError`."""
    if part is not None and shard is None:
        raise RequestError("--part: expected --shard with it")
    if shard is None or not shard.startswith("/"):
        return shard
    index = os.environ.get(ARRAY_INDEX, "")
    if not index.isdecimal():
        raise RequestError(f"--shard: {shard} takes its number from {ARRAY_INDEX}, which is not set; expected I/N")
    return f"{int(index) + 1}{shard}"


def name_in(where: str, part: Part) -> str:
    """Where a part goes: to what is named, or under a name of its own into what ends in a slash or is a folder."""
    own = f"{part.shard.number}-of-{part.shard.total}{ENDING}"
    if where.endswith("/"):
        return where + own
    return str(Path(where, own)) if not where.startswith("s3://") and Path(where).is_dir() else where


def write(where: str, part: Part, request: Request) -> bool:
    """Write a part to a file or to S3. False where that failed, which was said."""
    from cloudtrail_validate.distribute.parts import encode

    data = encode(part)
    where = name_in(where, part)
    try:
        if where.startswith("s3://"):
            bucket, _, key = where.removeprefix("s3://").partition("/")
            client(request.profile, request.endpoint_url).put_object(Bucket=bucket, Key=key, Body=data)
        else:
            Path(where).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(where), data)
    except Exception as error:  # botocore has many; whatever it is, the part is not there
        click.echo(f"ctvalidate: {_why(error, '--part: cannot write', where, 's3:PutObject')}", err=True)
        return False
    return True


def find(where: str, profile: str | None, endpoint_url: str | None) -> list[str]:
    """The parts that an argument names: itself, or all that lie in a folder (`DIR`, `s3://BUCKET/PREFIX/`).

    Raises `ConfigurationError` where there are none.
    """
    if where.startswith("s3://") and where.endswith("/"):
        bucket, _, prefix = where.removeprefix("s3://").partition("/")
        try:
            pages = client(profile, endpoint_url).get_paginator("list_objects_v2")
            listed = [
                item for page in pages.paginate(Bucket=bucket, Prefix=prefix) for item in page.get("Contents", ())
            ]
        except Exception as error:  # as below
            raise ConfigurationError(_why(error, "cannot list", where, "s3:ListBucket")) from error
        found = [f"s3://{bucket}/{item['Key']}" for item in listed if item["Key"].endswith(ENDING)]
    elif not where.startswith("s3://") and Path(where).is_dir():
        found = sorted(str(path) for path in Path(where).glob(f"*{ENDING}"))
    else:
        return [where]
    if not found:
        raise ConfigurationError(f"there are no parts (*{ENDING}) in {printable(where)}")
    return found


def read(where: str, profile: str | None, endpoint_url: str | None) -> bytes:
    """Read a part from a file or from S3. Raises `ConfigurationError`."""
    from cloudtrail_validate.distribute.parts import MAX_BYTES

    try:
        if where.startswith("s3://"):
            bucket, _, key = where.removeprefix("s3://").partition("/")
            answer = client(profile, endpoint_url).get_object(Bucket=bucket, Key=key)
            data = read_at_most(answer["Body"], MAX_BYTES)
        else:
            with Path(where).open("rb") as file:
                data = read_at_most(file, MAX_BYTES)
    except Exception as error:  # as above
        raise ConfigurationError(_why(error, "cannot read", where, "s3:GetObject")) from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{printable(where)} is too large to be a part")
    return data


def _why(error: Exception, doing: str, where: str, permission: str) -> str:
    """One line about a part that could not be read, written or listed, on disk or in S3."""
    if where.startswith("s3://"):
        from cloudtrail_validate.aws.refusals import object_refused

        return str(object_refused(error, doing, where, permission))
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return printable(f"{doing} {where}: {reason}")


def client(profile: str | None, endpoint_url: str | None) -> Any:
    """A boto3 S3 client for parts."""
    from cloudtrail_validate.aws.identity import make_session

    return make_session(profile, trail_arn=None, regions=(), role_arn=None).client("s3", endpoint_url=endpoint_url)
