"""`--format jsonl`: the report as it comes about, a line a finding as soon as it is found."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

from cloudtrail_validate.api import echo_of
from cloudtrail_validate.cli import no_output
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.report.build import record, this_tool
from cloudtrail_validate.report.jsonl import finding_line, footer_lines, header_line
from cloudtrail_validate.request import Request
from cloudtrail_validate.runtime.clock import now_utc

if TYPE_CHECKING:
    from cloudtrail_validate.api import Result
    from cloudtrail_validate.core.outcome import Outcome
    from cloudtrail_validate.session import Session


class JsonLines:
    """Goes along with a run and writes its lines to standard output, each at once and whole."""

    every_object = False

    def __init__(self, request: Request, now: datetime) -> None:
        self._request = request
        self._now = now
        self._open = True
        self.whole = True  # false where there was no room for a line

    def adapt(self, session: Session) -> Session:
        """Write the first line: what is asked, as soon as it is known where."""
        echo = echo_of(self._request, session.target, self._request.window(self._now))
        self._write(header_line(this_tool(), now_utc().replace(microsecond=0), echo))
        return session

    def finding(self, finding: Finding) -> None:
        """Write a finding."""
        self._write(finding_line(record(finding)))

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Objects have no lines of their own."""

    async def conclude(self, outcome: Outcome) -> None:
        """The last lines need the whole report."""

    def finish(self, result: Result) -> None:
        """Write the chains and the summary; nothing was left out of the stream."""
        self._write(footer_lines(result.report, truncated=False))

    def _write(self, text: str) -> None:
        if self._open:
            try:
                sys.stdout.buffer.write(text.encode())
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                self._open = False  # the reader has seen enough; the run goes on for its exit code
            except OSError as error:
                if not no_output(error):
                    raise
                self._open = self.whole = False
