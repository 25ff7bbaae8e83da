"""A trail on moto, and a proxy between it and the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.fixtures import proxy, trail
from tests.faults.helpers import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.aws import AwsServer

__all__ = ["overwrite", "proxy", "trail"]


@pytest.fixture
def overwrite(aws: AwsServer) -> Callable[[str, bytes], None]:
    """Overwrite an object of the trail's bucket."""

    def put(key: str, body: bytes) -> None:
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    return put
