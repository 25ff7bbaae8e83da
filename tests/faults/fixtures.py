"""A trail on moto, and a proxy between it and the tool: for whoever imports them into a conftest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.helpers import deliver

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
