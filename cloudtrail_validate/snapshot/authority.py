"""Ask a time stamping authority over HTTP (RFC 3161, 3.4): one POST, bounded in time and size, no redirect followed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import Final

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.runtime.redirects import opener_without_redirects
from cloudtrail_validate.snapshot.manifest import SnapshotError
from cloudtrail_validate.snapshot.timestamp import MOST_BYTES

SILENCE: Final = 20.0  # seconds without a byte; public authorities answer within two
TRIES: Final = 2


def post(url: str, query: bytes) -> bytes:
    """The answer to a TimeStampReq. Raises `SnapshotError` where there is none."""
    opener = opener_without_redirects()
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": f"ctvalidate/{version('ctvalidate')}"}
    failure = ""
    for _ in range(TRIES):
        request = urllib.request.Request(url, data=query, headers=headers)  # noqa: S310  # timestamp.check_url has looked
        try:
            with opener.open(request, timeout=SILENCE) as answer:
                data: bytes = answer.read(MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            failure = f"HTTP status {error.code}"
            continue
        except urllib.error.URLError as error:
            failure = f"no connection: {error.reason}"
            continue
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure = f"no answer: {type(error).__name__}"
            continue
        if len(data) > MOST_BYTES:
            raise SnapshotError(f"{url}: the answer is larger than any time stamp")
        return data
    raise SnapshotError(printable(f"{url}: {failure}"[:300]))
