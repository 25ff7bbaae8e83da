"""A trail on moto, and a proxy between it and the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.helpers import BUCKET, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy


@pytest.fixture
def trail(aws: AwsServer) -> Trail:
    """The usual trail, intact."""
    return deliver(aws)


@pytest.fixture
def proxy(
    trail: Trail, aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> FaultProxy:
    """What every request of the tool goes through."""
    made = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
    return made


@pytest.fixture
def overwrite(aws: AwsServer) -> Callable[[str, bytes], None]:
    """Overwrite an object of the trail's bucket."""

    def put(key: str, body: bytes) -> None:
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    return put
