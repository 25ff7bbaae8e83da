"""`--metrics FILE.prom`: gauges for node_exporter's textfile collector.

Its rules: the file ends in `.prom`, holds no time stamps, and appears whole (written beside it and renamed). Written by
prometheus-client, which escapes label values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.verdict import Tally, Verdict
from cloudtrail_validate.metrics.samples import MAX_SERIES, Measures, measure
from cloudtrail_validate.metrics.target import MetricsError, Surroundings
from cloudtrail_validate.report import Report

_CHAIN: Final = ("account", "region", "trail")


class PrometheusFile(msgspec.Struct, frozen=True):
    """A file that each run replaces."""

    path: str

    @property
    def name(self) -> str:
        """The file."""
        return f"metrics {printable(self.path)}"

    def write(self, report: Report, tally: Tally | None, _: Surroundings) -> None:
        """Replace the file."""
        write_textfile(self.path, measure(report, tally, most=MAX_SERIES))


def write_textfile(path: str, measures: Measures) -> None:
    """Write all gauges into a file that appears whole. Raises `MetricsError`."""
    registry = CollectorRegistry()

    def gauge(name: str, about: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"ctvalidate_{name}", about, labels, registry=registry)

    scope = ("scope",)
    for name, about, value in _plain(measures):
        gauge(name, about, scope).labels(measures.scope).set(value)
    verdicts = gauge("verdict", "1 for the verdict of the last completed run, 0 for the others.", (*scope, "verdict"))
    for verdict in Verdict:
        verdicts.labels(measures.scope, verdict).set(verdict is measures.verdict)
    findings = gauge("findings", "Findings by rule; every rule is always there.", (*scope, "rule", "status"))
    for (rule, status), number in measures.findings.items():
        findings.labels(measures.scope, rule, status).set(number)
    objects = gauge("objects", "Digests and logs that were looked at, by outcome.", (*scope, "kind", "state"))
    for (kind, state), number in measures.objects.items():
        objects.labels(measures.scope, kind, state).set(number)
    newest = gauge(
        "newest_proven_timestamp_seconds",
        "End of the newest proven digest of a chain, 0 for none; without region and trail the account's oldest.",
        (*scope, *_CHAIN),
    )
    ratio = gauge("covered_ratio", "Share of the window that a chain's proven digests cover.", (*scope, *_CHAIN))
    for chain in measures.chains:
        place = (measures.scope, chain.account, chain.region, chain.trail)
        newest.labels(*place).set(chain.newest.timestamp())
        ratio.labels(*place).set(chain.covered_ratio)
    try:
        write_to_textfile(path, registry)
    except OSError as error:
        raise MetricsError(f"{printable(path)}: {error.strerror}") from error


def _plain(measures: Measures) -> tuple[tuple[str, str, float], ...]:
    """Name, meaning and value of each gauge that has one value a scope."""
    return (
        ("run_timestamp_seconds", "When the last completed run finished.", measures.finished.timestamp()),
        ("run_duration_seconds", "How long it took.", measures.duration),
        (
            "exit_code",
            "Its exit code: 0 proven, 1 evidence of change, 3 unproven, 4 nothing found.",
            measures.exit_code,
        ),
        ("changed", "Findings that are evidence of change.", measures.changed),
        ("unproven", "Findings that are unverifiable or uncovered.", measures.unproven),
        ("window_seconds", "Length of the window that was validated.", measures.window_seconds),
        ("covered_seconds", "Part of it that proven digests cover everywhere.", measures.covered_seconds),
        ("log_bytes_hashed", "Inflated bytes of logs that were hashed.", measures.bytes_hashed),
        (
            "failed_notifications",
            "Targets of alerts and metrics that could not be told.",
            measures.failed_notifications,
        ),
    )


def parse(text: str) -> PrometheusFile:
    """Read a file's name."""
    parent = Path(text).parent
    if not parent.is_dir() or not os.access(parent, os.W_OK) or Path(text).is_dir():
        raise RequestError(f"--metrics: expected a file in a folder that can be written to, got {printable(text)!r}")
    return PrometheusFile(text)
