"""A trail with its witnesses, who answer as fast as they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.witness.kit import Trail

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's own pace would make an hour of these tests."""
    monkeypatch.setattr("cloudtrail_validate.witness.sources.HISTORY_RATE", 1_000.0)
    monkeypatch.setattr("cloudtrail_validate.witness.sources.GROUP_RATE", 1_000.0)
    monkeypatch.setattr("cloudtrail_validate.aws.event_history._FIRST_WAIT", 0.01)


@pytest.fixture
def trail(aws: AwsServer) -> Trail:
    return Trail(aws)
