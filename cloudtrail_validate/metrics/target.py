"""Where metrics go, and how a `--metrics` value names it: `FILE.prom`, `cloudwatch:NAMESPACE`, `emf:PATH` or `emf:-`."""

from __future__ import annotations

from typing import Any, Protocol

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.report import Report


class MetricsError(Exception):
    """Metrics could not be written, or not all of them: one line for people."""


class Clients(Protocol):
    """AWS, as the one who sends. `aws.session.Aws` is one."""

    def client(self, service: str, region: str | None = None) -> Any:
        """A botocore client."""
        ...


class Surroundings(Protocol):
    """What a target may need beside the report."""

    def aws(self) -> Clients:
        """The sender's way into AWS. Raises `ConfigurationError` where there are no credentials."""
        ...


class MetricsTarget(Protocol):
    """Somewhere to write metrics."""

    @property
    def name(self) -> str:
        """What may be shown to anybody."""
        ...

    def write(self, report: Report, tally: Tally | None, surroundings: Surroundings) -> None:
        """Write a run's metrics. Raises `MetricsError`."""
        ...


def parse_metrics(text: str) -> MetricsTarget:
    """Read one `--metrics` value. Raises `RequestError`; nothing is written."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "cloudwatch":
        from cloudtrail_validate.metrics import cloudwatch  # noqa: PLC0415  # each kind when it is used

        return cloudwatch.parse(rest)
    if colon and kind == "emf":
        from cloudtrail_validate.metrics import emf  # noqa: PLC0415

        return emf.parse(rest)
    if text.endswith(".prom"):
        from cloudtrail_validate.metrics import prometheus  # noqa: PLC0415

        return prometheus.parse(text)
    raise RequestError(
        f"--metrics: expected FILE.prom, cloudwatch:NAMESPACE, emf:PATH or emf:-, got {printable(text)!r}"
    )
