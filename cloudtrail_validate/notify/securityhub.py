"""`--notify securityhub[:REGION]`: every open finding imported or updated, every healed one closed.

Security Hub API reference and partner guide, BatchImportFindings: at most 100 findings and 6 MB a call and 240 KB a finding;
the caller's account is the findings' `AwsAccountId`; the same `Id` updates; a call succeeds although findings failed, so
`FailedFindings` are looked at. `Severity` and `Types` belong to the customer after the first import: a provider has
`FindingProviderFields` for them. `Workflow` is the customer's alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.layout import REGION
from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.notify.aws_calls import call
from cloudtrail_validate.notify.event import Event, OpenFinding, as_record
from cloudtrail_validate.notify.target import DeliveryError, Surroundings
from cloudtrail_validate.report.asff import Importer, security_finding
from cloudtrail_validate.report.references import CHANGE, to_json

PER_CALL: Final = 100
MAX_BYTES: Final = 5_000_000  # of a call, of 6 MB
MOST: Final = 10_000  # findings a run, healed and new ones first: 100 calls, 10 a second is what Security Hub takes
TRIES: Final = 3
_PASSING: Final = re.compile("internal|throttl|limitexceeded|unavailable", re.IGNORECASE)


class SecurityHubTarget(msgspec.Struct, frozen=True):
    """Security Hub of the sender's account, in a region: the one given, else the trail's, else the sender's."""

    region: str | None
    wait: float = 1.0  # seconds before findings that failed for a passing reason are imported again, doubled each time

    @property
    def name(self) -> str:
        """Security Hub, and the region if one was given."""
        return f"securityhub:{self.region}" if self.region else "securityhub"

    def deliver(self, event: Event, surroundings: Surroundings) -> str | None:
        """Import all findings of the event."""
        aws = surroundings.aws()
        region = self.region or event.region or aws.region
        account = aws.account() or event.account
        if account is None:
            raise DeliveryError("securityhub:BatchImportFindings: the sender's account is not known (STS did not say)")
        client = aws.client("securityhub", region)
        failed: list[str] = []
        items = findings(event, account, region)
        for batch in batches(iter(items[:MOST])):
            failed += self._import(client, batch)
        if failed:
            raise DeliveryError(
                f"securityhub:BatchImportFindings: {len(failed):,} findings were not taken, the first: {failed[0]}"
            )
        return f"{len(items) - MOST:,} findings left out" if len(items) > MOST else None

    def _import(self, client: Any, batch: Sequence[dict[str, Any]]) -> list[str]:
        """What Security Hub says of the findings that it did not take in the end."""
        out: list[str] = []
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.wait * 2 ** (attempt - 1))
            ask = partial(client.batch_import_findings, Findings=list(batch))
            answer = call("securityhub:BatchImportFindings", ask)
            refused = list(answer.get("FailedFindings", ()))
            again = {said.get("Id") for said in refused if _PASSING.search(str(said.get("ErrorCode")))}
            last = attempt == TRIES - 1
            out += [_why(said) for said in refused if last or said.get("Id") not in again]
            if int(answer.get("SuccessCount") or 0) + len(refused) != len(batch):
                return [*out, *["the answer is not from Security Hub"] * len(batch)]
            batch = [item for item in batch if item["Id"] in again]
            if not batch:
                break
        return out


def _why(said: dict[str, Any]) -> str:
    return printable(f"{said.get('ErrorCode')}: {said.get('ErrorMessage', '')}"[:300])


def findings(event: Event, account: str, region: str) -> list[dict[str, Any]]:
    """The event's findings as Security Hub takes them: healed ones first, then new ones, then those found again."""
    importer = Importer(
        account=account, region=region, now=event.finished, trail_arn=event.trail, version=event.tool_version
    )
    closed = [_finding(item, importer, healed=True) for item in event.healed]
    return closed + [_finding(item, importer, healed=False) for item in event.found]


def _finding(item: OpenFinding, importer: Importer, *, healed: bool) -> dict[str, Any]:
    out = security_finding(as_record(item.finding), item.id, importer)
    out["FindingProviderFields"] = {"Severity": out.pop("Severity"), "Types": out.pop("Types")}
    del out["Workflow"]
    out["CreatedAt"] = out["FirstObservedAt"] = isoformat(item.first_seen)
    if healed:
        out["LastObservedAt"] = isoformat(item.last_seen)
        status, out["RecordState"] = "PASSED", "ARCHIVED"
    else:
        status = "FAILED" if item.finding.status in CHANGE else "WARNING"
    out["Compliance"] = {"Status": status}
    return out


def batches(items: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Findings in calls that keep number and size."""
    batch: list[dict[str, Any]] = []
    held = 0
    for item in items:
        size = len(to_json(item))
        if batch and (len(batch) == PER_CALL or held + size > MAX_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch


def parse(text: str) -> SecurityHubTarget:
    """Read what follows `securityhub:`, which may be nothing."""
    if text and REGION.fullmatch(text) is None:
        raise RequestError(f"--notify securityhub: expected a region such as us-east-1, got {printable(text)!r}")
    return SecurityHubTarget(text or None)
