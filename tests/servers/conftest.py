"""Fixtures for the tests of the servers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.raw import BODY, BUCKET, KEY

if TYPE_CHECKING:
    from tests.servers.rclone import RcloneServer


@pytest.fixture
def bucket(rclone: RcloneServer) -> RcloneServer:
    """rclone with one object in one bucket."""
    s3 = rclone.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(
        Bucket=BUCKET, Key=KEY, Body=BODY, Metadata={"signature": "ab", "signature-algorithm": "SHA256withRSA"}
    )
    return rclone
