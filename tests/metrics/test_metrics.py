"""Metrics: every rule in every run, ages, caps, and what Prometheus's parser, moto and EMF's rules make of them."""

from __future__ import annotations

import json
import re
import stat
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core import rules
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.model import EPOCH, Kind, Status
from cloudtrail_validate.core.verdict import Tally
from cloudtrail_validate.metrics import cloudwatch, emf
from cloudtrail_validate.metrics.samples import MAX_SERIES, cloudwatch_samples, measure
from cloudtrail_validate.metrics.target import MetricsError, parse_metrics
from cloudtrail_validate.report import NotificationRecord, Report
from tests.report import samples
from tests.report.samples import at, chain, finding, report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.aws import AwsServer

SAMPLES: dict[str, Report] = {
    **{str(verdict): told for verdict, told in samples.verdicts().items()},
    "hostile": samples.hostile(),
    "huge": samples.huge(findings=500),
}
each_report = pytest.mark.parametrize("told", SAMPLES.values(), ids=map(str, SAMPLES))


class Sender:
    def aws(self) -> Aws:
        return Aws(connect=2.0, read=5.0, attempts=1)


def families(told: Report, path: Path, tally: Tally | None = None) -> dict[str, dict[tuple[str, ...], float]]:
    """What a run's file says, as Prometheus reads it: values by metric and by the values of its labels but `scope`."""
    parse_metrics(str(path)).write(told, tally, Sender())
    text = path.read_text()
    assert text.endswith("\n")
    out: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        for sample in family.samples:
            assert sample.timestamp is None
            labels = tuple(value for name, value in sorted(sample.labels.items()) if name != "scope")
            assert labels not in out.setdefault(sample.name, {})
            out[sample.name][labels] = sample.value
    return out


# -- what is measured ------------------------------------------------------------------------------------------------


@each_report
def test_every_rule_is_there_in_every_run(told: Report, tmp_path: Path) -> None:
    found = families(told, tmp_path / "ct.prom")["ctvalidate_findings"]
    assert {rule for rule, _ in found} == set(rules.TRAIL_RULES)
    assert (rules.DIGEST_KEY_UNKNOWN, "altered") in found
    assert (rules.DIGEST_KEY_UNKNOWN, "unverifiable") in found
    assert sum(found.values()) == len(told.findings)


def test_a_quiet_run(tmp_path: Path) -> None:
    told = samples.quiet()
    found = families(told, tmp_path / "ct.prom")
    assert found["ctvalidate_exit_code"] == {(): 0}
    assert found["ctvalidate_changed"] == found["ctvalidate_unproven"] == {(): 0}
    assert found["ctvalidate_run_timestamp_seconds"] == {(): told.run.finished.timestamp()}
    assert found["ctvalidate_verdict"] == {("valid",): 1, ("changed",): 0, ("unproven",): 0, ("empty",): 0}
    assert found["ctvalidate_newest_proven_timestamp_seconds"] == {
        (samples.ACCOUNT, "us-east-1", "mgmt"): at(24).timestamp(),
        (samples.ACCOUNT, "eu-west-1", "mgmt"): at(23).timestamp(),
    }
    assert found["ctvalidate_covered_ratio"][samples.ACCOUNT, "eu-west-1", "mgmt"] == pytest.approx(23 / 24)


def test_numbers_are_exact_where_findings_were_capped() -> None:
    tally = Tally()
    for _ in range(30_000):
        tally.add(rules.LOG_ALTERED, Status.ALTERED)
    measures = measure(samples.quiet(), tally)
    assert (measures.findings[rules.LOG_ALTERED, Status.ALTERED], measures.changed) == (30_000, 30_000)


def test_a_chain_without_proof_is_as_old_as_can_be() -> None:
    measures = measure(report([chain(), chain(region="eu-west-1", covered=())]))
    (lost,) = [one for one in measures.chains if one.region == "eu-west-1"]
    assert (lost.newest, lost.covered_ratio, measures.oldest) == (EPOCH, 0.0, EPOCH)


def test_backfill_chains_have_no_age() -> None:
    measures = measure(report([chain(), chain(kind=Kind.BACKFILL, until=1)]))
    assert [one.newest for one in measures.chains] == [at(24)]


def test_too_many_chains_are_told_by_account_and_by_the_worst_of_each() -> None:
    regions = [f"us-east-{n}" for n in range(20)]
    chains = [chain(f"{n:012}", region) for n in range(101) for region in regions]
    chains[5] = chain(f"{0:012}", regions[5], until=3)
    measures = measure(report(chains))
    assert len(chains) > MAX_SERIES
    assert len(measures.chains) == 101
    assert {(one.region, one.trail) for one in measures.chains} == {("", "")}
    assert [one.newest for one in measures.chains[:2]] == [at(3), at(24)]
    assert len(measure(report(chains), most=100).chains) == 1
    assert measure(report(chains), most=100).chains[0].newest == at(3)


def test_failed_notifications_are_counted() -> None:
    told = replace(samples.quiet(), notifications=(NotificationRecord(target="a", outcome="failed", detail="x"),))
    assert measure(told).failed_notifications == 1


def test_scope_tells_runs_apart() -> None:
    told = samples.quiet()
    bare = replace(told, request=replace(told.request, trail_arn=None))
    assert (measure(told).scope, measure(bare).scope) == ("mgmt", f"s3://{samples.BUCKET}")


# -- Prometheus ------------------------------------------------------------------------------------------------------


@each_report
def test_prometheus_reads_it(told: Report, tmp_path: Path) -> None:
    found = families(told, tmp_path / "ct.prom")
    assert len(found) >= 12
    if told.chains:
        assert len(found["ctvalidate_newest_proven_timestamp_seconds"]) == len(found["ctvalidate_covered_ratio"])


def test_prometheus_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "ct.prom"
    families(samples.telling(), path)
    before = path.stat().st_ino
    families(samples.quiet(), path)
    assert path.stat().st_ino != before
    assert [one.name for one in tmp_path.iterdir()] == ["ct.prom"]
    if sys.platform != "win32":
        assert path.stat().st_mode & stat.S_IRUSR


def test_prometheus_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    target = parse_metrics(str(folder / "ct.prom"))
    folder.rmdir()
    with pytest.raises(MetricsError, match="No such file or directory"):
        target.write(samples.quiet(), None, Sender())


# -- CloudWatch ------------------------------------------------------------------------------------------------------


def test_cloudwatch_gets_all_metrics(aws: AwsServer) -> None:
    told = samples.telling()
    namespace = "Security/ctvalidate"
    parse_metrics(f"cloudwatch:{namespace}").write(told, None, Sender())
    client = aws.client("cloudwatch")
    listed = [
        one for page in client.get_paginator("list_metrics").paginate(Namespace=namespace) for one in page["Metrics"]
    ]
    assert len(listed) == len(cloudwatch_samples(measure(told)))
    around = {"StartTime": told.run.finished - timedelta(hours=1), "EndTime": told.run.finished + timedelta(hours=1)}
    got = client.get_metric_statistics(
        Namespace=namespace,
        MetricName="Changed",
        Dimensions=[{"Name": "Trail", "Value": "mgmt"}],
        Period=60,
        Statistics=["Maximum"],
        **around,
    )
    changed = sum(one.status in ("altered", "missing", "extra") for one in told.findings)
    assert [point["Maximum"] for point in got["Datapoints"]] == [changed]


@each_report
def test_cloudwatch_limits_are_kept(told: Report) -> None:
    data = cloudwatch.metric_data(measure(told, most=cloudwatch.MAX_SERIES))
    names = [(one["MetricName"], tuple((d["Name"], d["Value"]) for d in one["Dimensions"])) for one in data]
    assert len(set(names)) == len(names)
    for one in data:
        assert 0 < len(one["Dimensions"]) <= 30
        assert all(re.fullmatch(r"[\x20-\x7e]{1,1024}", d["Value"]) for d in one["Dimensions"])
        assert all(not d["Value"].startswith(":") for d in one["Dimensions"])


def test_cloudwatch_gets_a_thousand_at_a_time(aws: AwsServer) -> None:
    told = report([chain(f"{n:012}") for n in range(190)])
    wide = [{"n": n} for n in range(2_500)]
    assert [len(batch) for batch in cloudwatch.batches(wide)] == [1_000, 1_000, 500]
    parse_metrics("cloudwatch:ct").write(told, None, Sender())
    assert aws.calls["cloudwatch:PutMetricData", "us-east-1"] == 1


def test_cloudwatch_refusal_names_the_permission(aws: AwsServer) -> None:
    aws.denied = {"cloudwatch:PutMetricData"}
    with pytest.raises(MetricsError, match="allow cloudwatch:PutMetricData"):
        parse_metrics("cloudwatch:ct").write(samples.quiet(), None, Sender())


@pytest.mark.parametrize(("value", "wanted"), [("", "_"), (":a", "_a"), ("ü", "\\xfc"), ("a" * 2_000, "a" * 1_024)])
def test_dimension_values_are_what_cloudwatch_takes(value: str, wanted: str) -> None:
    assert cloudwatch.ascii_value(value) == wanted


# -- EMF -------------------------------------------------------------------------------------------------------------


def check_emf(line: str) -> dict[str, Any]:
    """The rules of CloudWatch's specification that a document can break."""
    document: dict[str, Any] = json.loads(line)
    assert len(line) < 1_000_000
    meta = document["_aws"]
    assert isinstance(meta["Timestamp"], int)
    for directive in meta["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 0 < len(directive["Metrics"]) <= 100
        for names in directive["Dimensions"]:
            assert len(names) <= 30
            assert all(isinstance(document[name], str) and 0 < len(document[name]) <= 1_024 for name in names)
        for metric in directive["Metrics"]:
            assert isinstance(document[metric["Name"]], int | float)
            assert metric["Unit"] in ("Count", "Seconds", "None")
    return document


@each_report
def test_emf_documents_are_what_the_specification_says(told: Report) -> None:
    documents = [check_emf(line) for line in emf.lines(measure(told, most=cloudwatch.MAX_SERIES))]
    by_rule = {document["Rule"] for document in documents if "Rule" in document}
    assert by_rule == set(rules.TRAIL_RULES)
    assert documents[0]["ExitCode"] == told.exit_code


def test_emf_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.log"
    for target in (f"emf:{path}", f"emf:{path}", "emf:-"):
        parse_metrics(target).write(samples.quiet(), None, Sender())
    out = capsys.readouterr().out
    assert path.read_text() == out * 2
    assert [check_emf(line) for line in out.splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_emf_on_a_full_disk_is_told() -> None:
    with pytest.raises(MetricsError, match="No space left on device"):
        parse_metrics("emf:/dev/full").write(samples.quiet(), None, Sender())


def test_unit_of_findings_is_a_count() -> None:
    told = report([chain()], [finding(rules.GAP_BROKEN, hours=(3, 5))])
    (one,) = [s for s in cloudwatch_samples(measure(told)) if ("Rule", rules.GAP_BROKEN) in s.labels]
    assert (one.name, one.value, one.unit) == ("Findings", 1, "Count")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metrics.txt",
        "no/such/folder/x.prom",
        "cloudwatch:",
        "cloudwatch:AWS/S3",
        "cloudwatch:a b",
        "emf:",
        "emf:no/x",
    ],
)
def test_what_names_no_target_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--metrics"):
        parse_metrics(text)
