"""Where metrics go, and how a `--metrics` value names it: `FILE.prom`, `cloudwatch:NAMESPACE`, `emf:PATH` or `emf:-`.

Each kind lives in a module of its own, imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
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

    def write(self, report: Report, tally: Tally | None, surroundings: Surroundings, /) -> None:
        """Write a run's metrics. Raises `MetricsError`."""
        ...


def parse_metrics(text: str) -> MetricsTarget:
    """Read one `--metrics` value. Raises `RequestError`; nothing is written."""
    kind, colon, rest = text.partition(":")
    if colon and kind in ("cloudwatch", "emf"):
        module, value = kind, rest
    elif text.endswith(".prom"):
        module, value = "prometheus", text
    else:
        wanted = "FILE.prom, cloudwatch:NAMESPACE, emf:PATH or emf:-"
        raise RequestError(f"--metrics: expected {wanted}, got {printable(text)!r}")
    target: MetricsTarget = import_module(f"cloudtrail_validate.metrics.{module}").parse(value)
    return target
