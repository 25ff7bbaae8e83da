"""The bucket that the tests of evidence start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.evidence.kit import Trail, make_trail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.aws import AwsServer


@pytest.fixture
def trail(aws: AwsServer, tmp_path: Path) -> Trail:
    """A whole trail in a bucket that keeps versions."""
    return make_trail(aws.client("s3"), tmp_path)
