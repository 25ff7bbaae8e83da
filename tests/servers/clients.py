"""Credentials, environment and boto3 clients that all servers of the tests share."""

from __future__ import annotations

import os
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
from botocore.config import Config
from botocore.session import Session as BotocoreSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudtrail import CloudTrailClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

# The example credentials of AWS's own documentation. moto and rclone take the same pair, so that one environment can
# send CloudTrail calls to the one and S3 calls to the other.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"


def environment(endpoint: str, *, region: str = REGION) -> Mapping[str, str]:
    """AWS's environment variables that lead any SDK to `endpoint`, and to nothing else on this computer."""
    return MappingProxyType(
        {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    )


@overload
def make_client(
    service: Literal["s3"], endpoint: str, *, region: str = ..., access_key: str = ..., secret_key: str = ...
) -> S3Client: ...
@overload
def make_client(
    service: Literal["cloudtrail"], endpoint: str, *, region: str = ..., access_key: str = ..., secret_key: str = ...
) -> CloudTrailClient: ...
@overload
def make_client(
    service: Literal["sts"], endpoint: str, *, region: str = ..., access_key: str = ..., secret_key: str = ...
) -> STSClient: ...
@overload
def make_client(
    service: str, endpoint: str, *, region: str = ..., access_key: str = ..., secret_key: str = ...
) -> Any: ...
def make_client(
    service: str,
    endpoint: str,
    *,
    region: str = REGION,
    access_key: str = ACCESS_KEY,
    secret_key: str = SECRET_KEY,
) -> Any:
    """A boto3 client that talks to `endpoint`, asks once (no retries), and gives up after 10 s of silence."""
    return session().client(
        service,  # type: ignore[call-overload]  # the stubs know literal names only; the overloads above are ours
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            connect_timeout=10,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            proxies={},  # not those that a test has put into the environment
            s3={"addressing_style": "path"},
        ),
    )


@cache
def session() -> boto3.Session:
    """One session for all clients: it keeps the parsed service models, which are the cost of making a client.

    It knows no profile and no file, whatever the environment of the test that happens to be the first says of them.
    """
    bare = BotocoreSession(session_vars={"profile": (None, None, None, None)})
    bare.set_config_variable("config_file", os.devnull)
    bare.set_config_variable("credentials_file", os.devnull)
    return boto3.Session(botocore_session=bare)
