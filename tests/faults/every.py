"""Every request of a run fails once, in turn, in each way: the ways, a trail to fail, and what may come of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final
from unittest import mock

import boto3

from cloudtrail_validate import AccessError, session
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.runtime.limits import Timeouts
from cloudtrail_validate.stores import retries
from tests.faults.helpers import SPEC, Trail
from tests.servers import faults
from tests.servers.clients import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtrail_validate.report import Report
    from tests.servers.proxy import FaultProxy

READ: Final = 0.3  # seconds of silence; a server on this computer answers in milliseconds
HASTY: Final = Timeouts(connect=2.0, read=READ, retries=2, give_up=2.0)
SMALL: Final = dataclasses.replace(SPEC, hours=3, logs_per_hour=2)
ACCUSING: Final = frozenset({"altered", "missing", "extra"})
HTML: Final = b"<!DOCTYPE html><html><body>Welcome to the hotel. <b>Log in</b></body></html>"
XHTML: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>Sign in</title>'
    b"</head><body><p>Sign in</p></body></html>"
)
CUSTOMER_KEY: Final = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve"
    " the object."
)
MOVED: Final = "The bucket you are attempting to access must be addressed using the specified endpoint."


def page(status: int, body: bytes = HTML, **headers: str) -> faults.Respond:
    """An answer that is none of S3's."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return faults.Respond(status, body, "text/html", named)


def in_region(answer: faults.Respond, region: str) -> faults.Respond:
    """An answer of S3's that says where the bucket lies."""
    return dataclasses.replace(answer, headers=(("x-amz-bucket-region", region),))


WAYS: Final[dict[str, faults.Action]] = {
    "400 with a code": faults.s3_error(400, "InvalidRequest", "Invalid request."),
    "400": page(400),
    "403 with a code": faults.access_denied(),
    "403": page(403),
    "404 NoSuchKey": faults.no_such_key(),
    "404 NoSuchBucket": faults.s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
    "404": page(404),
    "404 without a body": page(404, b""),
    "409": faults.s3_error(409, "OperationAborted", "A conflicting conditional operation is currently in progress."),
    "429": page(429),
    "500 with a code": faults.internal_error(),
    "500": page(500),
    "503 with a code": faults.slow_down(),
    "503": page(503),
    "reset": faults.Reset(),
    "cut in the head": faults.Behead(60),
    "reset after the head": faults.ResetLater(5),
    "cut": faults.Truncate(30),
    "cut and mended": faults.Mend(30),
    "cut to nothing and mended": faults.Mend(0),
    "HTML": page(200),
    "XHTML": page(200, XHTML),
    "an error under 200": faults.Respond(200, faults.internal_error().body),
    "absence under 200": faults.Respond(200, faults.no_such_key().body),
    "nothing under 200": faults.Respond(200, b""),
    "nothing listed": faults.Emptied(),
    "stall": faults.Hang(),
    "drip": faults.Dribble(5, READ / 3, 1),
    "clock": faults.s3_error(403, "RequestTimeTooSkewed", "The difference between the request time … is too large."),
    "expired": faults.expired_token(),
    "customer's key": faults.s3_error(400, "InvalidRequest", CUSTOMER_KEY),
    "redirect": page(302, Location="http://127.0.0.1:9/elsewhere"),
    "redirect without a place": faults.s3_error(301, "PermanentRedirect", MOVED),
    "redirect to another region": in_region(faults.s3_error(307, "TemporaryRedirect", MOVED), "eu-west-1"),
    "another region": in_region(faults.s3_error(400, "AuthorizationHeaderMalformed", "Wrong region."), "eu-west-1"),
}


class Runs:
    """Validations of one trail through one proxy, by one identity that forgets between them where buckets lie."""

    def __init__(self, trail: Trail, proxy: FaultProxy, keys: Path) -> None:
        self._run = partial(trail.run, HASTY, public_keys=keys, executor="local:1")
        self._proxy = proxy
        self._bucket = rf"^/{trail.simulation.manifest.bucket}(/|$)"
        self._aws = Aws(
            boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION),
            endpoint_url=proxy.endpoint,
            connect=HASTY.connect,
            read=HASTY.read,
            attempts=HASTY.retries + 1,
        )
        self.undisturbed = self.report()

    def report(self) -> Report:
        """One run."""
        self._aws._regions.clear()
        with (
            mock.patch.object(session, "_identity", return_value=self._aws),  # a new one takes longer than the run
            mock.patch.object(retries, "_FIRST_PAUSE", 0.005),  # so do pauses that are good manners towards S3
        ):
            return self._run().report

    def disturbed(self, action: faults.Action) -> Iterator[tuple[int, Report | None]]:
        """One run for each request to S3, in which that one fails. None: nothing could be read, and that was said."""
        for number in itertools.count(1):
            rule = self._proxy.fault(action, path=self._bucket, nth=number)
            try:
                report: Report | None = self.report()
            except AccessError:
                report = None
            finally:
                self._proxy.clear()
            if not rule.fired:
                return
            yield number, report


def judge(undisturbed: Report, report: Report | None) -> str:
    """What is wrong with a disturbed run; empty where it says what the undisturbed one does, or that it could not tell."""
    if report is None:
        return ""
    accused, deserved = accusations(report), accusations(undisturbed)
    if not accused <= deserved:
        return f"accuses wrongly: {sorted(accused - deserved)}"
    if report.exit_code not in (undisturbed.exit_code, 3):
        return f"exit code {report.exit_code} for {undisturbed.exit_code}"
    if any("internal error" in finding.message for finding in report.findings):
        return "an internal error"
    return ""


def accusations(report: Report) -> set[tuple[str, str | None]]:
    """What is called altered, missing or extra."""
    return {(finding.rule, finding.key) for finding in report.findings if finding.status in ACCUSING}
