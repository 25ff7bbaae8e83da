"""What the tests of the servers share: an object, and a client without opinions."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import pytest
    from botocore.exceptions import ClientError

BUCKET = "trail-logs"
BODY = bytes(range(256)) * 40  # 10,240 bytes
KEY = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/a b+c.json.gz"


def error_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Status and code of a client's error."""
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


class Raw:
    """A client without opinions: one connection, no retries, no SDK."""

    def __init__(self, endpoint: str, timeout: float = 5) -> None:
        parts = urlsplit(endpoint)
        assert parts.hostname is not None
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self.connection.request(method, path, body)
        response = self.connection.getresponse()
        return response.status, response.read()
