"""`--metrics cloudwatch:NAMESPACE`: PutMetricData, in the sender's region.

CloudWatch API reference: at most 1,000 metrics and 1 MB a call, at most 30 dimensions, values of ASCII. A custom metric has
a price each month, so chains beyond `MAX_SERIES` are told of by account.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from cloudtrail_validate.aws.session import AWS_ERRORS, MALFORMED
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import brief, printable
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.metrics.samples import Measures, cloudwatch_samples, measure
from cloudtrail_validate.metrics.target import MetricsError, Surroundings
from cloudtrail_validate.report import Report

PER_CALL: Final = 1_000  # metrics; at ~300 bytes each well below 1 MB
MAX_SERIES: Final = 200  # chains: each is a custom metric of its own
MAX_VALUE: Final = 1_024  # characters of a dimension's value
_NAMESPACE: Final = re.compile(r"(?!AWS/)[A-Za-z0-9._/#:-]{1,255}")


class CloudWatchNamespace(msgspec.Struct, frozen=True):
    """A namespace of custom metrics."""

    namespace: str

    @property
    def name(self) -> str:
        """The namespace."""
        return f"metrics cloudwatch:{self.namespace}"

    def write(self, report: Report, tally: Tally | None, surroundings: Surroundings) -> None:
        """Put all metrics."""
        client = surroundings.aws().client("cloudwatch")
        for batch in batches(metric_data(measure(report, tally, most=MAX_SERIES))):
            try:
                client.put_metric_data(Namespace=self.namespace, MetricData=batch)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                need = " (allow cloudwatch:PutMetricData)" if "denied" in code.lower() else ""
                raise MetricsError(printable(brief(f"cloudwatch:PutMetricData: {code}{need}"))) from error
            except (*AWS_ERRORS, *MALFORMED) as error:
                raise MetricsError(printable(brief(f"cloudwatch:PutMetricData: {error}"))) from error


def metric_data(measures: Measures) -> list[dict[str, Any]]:
    """All metrics as PutMetricData takes them, at the time of the run's end."""
    return [
        {
            "MetricName": sample.name,
            "Dimensions": [{"Name": name, "Value": ascii_value(value)} for name, value in sample.labels],
            "Timestamp": measures.finished,
            "Value": float(sample.value),
            "Unit": str(sample.unit),
        }
        for sample in cloudwatch_samples(measures)
    ]


def ascii_value(value: str) -> str:
    """A dimension's value as CloudWatch takes it: ASCII, not empty, not beginning with a colon, bounded."""
    text = value.encode("ascii", "backslashreplace").decode()[:MAX_VALUE]
    return text if text.strip() and not text.startswith(":") else f"_{text[1:]}"


def batches(items: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    """Metrics in calls of at most `PER_CALL`."""
    return [items[start : start + PER_CALL] for start in range(0, len(items), PER_CALL)]


def parse(text: str) -> CloudWatchNamespace:
    """Read what follows `cloudwatch:`."""
    if _NAMESPACE.fullmatch(text) is None or text.startswith(":"):
        raise RequestError(
            f"--metrics cloudwatch: expected a namespace of letters, digits and ._/#:-, not AWS/…, got {printable(text)!r}"
        )
    return CloudWatchNamespace(text)
