"""Ask a time stamping authority over HTTP (RFC 3161, 3.4): one POST, bounded in time and size, no redirect followed."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import IO, Final

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.snapshot.manifest import SnapshotError
from cloudtrail_validate.snapshot.timestamp import MOST_BYTES

SILENCE: Final = 20.0  # seconds without a byte; public authorities answer within two
TRIES: Final = 2


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Answers a redirect as it is: urllib would follow a POST with a GET."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002  # urllib's signature
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return


def post(url: str, query: bytes) -> bytes:
    """The answer to a TimeStampReq. Raises `SnapshotError` where there is none."""
    context = ssl.create_default_context()  # SSL_CERT_FILE and SSL_CERT_DIR name further authorities
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
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
