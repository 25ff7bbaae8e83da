"""`--metrics emf:PATH` and `emf:-`: CloudWatch's embedded metric format, a line of JSON for each set of dimensions.

Of use only where the lines reach CloudWatch Logs: Lambda's and ECS's standard output, or a file that the agent ships.
CloudWatch guide, "Specification: embedded metric format": at most 100 metrics a directive, 30 dimensions, 1 MB a line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.metrics.cloudwatch import MAX_SERIES, ascii_value
from cloudtrail_validate.metrics.samples import Measures, Sample, cloudwatch_samples, measure
from cloudtrail_validate.metrics.target import MetricsError, Surroundings
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.references import to_json

NAMESPACE: Final = "ctvalidate"
PER_DIRECTIVE: Final = 100
STANDARD_OUTPUT: Final = "-"


class EmbeddedMetrics(msgspec.Struct, frozen=True):
    """Lines at the end of a file, or on standard output."""

    path: str

    @property
    def name(self) -> str:
        """The file."""
        return f"metrics emf:{printable(self.path)}"

    def write(self, report: Report, tally: Tally | None, _: Surroundings) -> None:
        """Append the lines."""
        text = "".join(lines(measure(report, tally, most=MAX_SERIES)))
        try:
            if self.path == STANDARD_OUTPUT:
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                with Path(self.path).open("a", encoding="utf-8") as file:
                    file.write(text)
        except OSError as error:
            raise MetricsError(f"emf:{printable(self.path)}: {error.strerror}") from error


def lines(measures: Measures) -> Iterator[str]:
    """The documents, one a line."""
    sets: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in cloudwatch_samples(measures):
        sets.setdefault(sample.labels, []).append(sample)
    stamp = int(measures.finished.timestamp() * 1_000)
    for labels, members in sets.items():
        for start in range(0, len(members), PER_DIRECTIVE):
            yield to_json(_document(labels, members[start : start + PER_DIRECTIVE], stamp)) + "\n"


def _document(labels: tuple[tuple[str, str], ...], members: list[Sample], stamp: int) -> dict[str, Any]:
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[name for name, _ in labels]],
        "Metrics": [{"Name": sample.name, "Unit": str(sample.unit)} for sample in members],
    }
    return {
        "_aws": {"Timestamp": stamp, "CloudWatchMetrics": [directive]},
        **{name: ascii_value(value) for name, value in labels},
        **{sample.name: sample.value for sample in members},
    }


def parse(text: str) -> EmbeddedMetrics:
    """Read what follows `emf:`."""
    if text != STANDARD_OUTPUT and (not text or not Path(text).parent.is_dir() or Path(text).is_dir()):
        raise RequestError(f"--metrics emf: expected - or a file in a folder that is there, got {printable(text)!r}")
    return EmbeddedMetrics(text)
