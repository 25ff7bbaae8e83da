"""Every tampering that the simulator knows is found, and nothing else, in a folder and in S3."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.simulate import FolderSink, LakeSpec, S3Sink, TamperError, simulate_lake
from cloudtrail_validate.simulate.lake import STATUS, TAMPERS

from .kit import BUCKET, SPEC, Keys, ask, ask_s3, publish, write

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtrail_validate.report import Report
    from cloudtrail_validate.simulate import LakeManifest
    from tests.servers.aws import AwsServer

READABLE = [rule for rule in TAMPERS if not rule.endswith("-unreadable")]


def told(report: Report) -> set[tuple[str, str, str]]:
    return {(finding.rule, str(finding.status), finding.key or "") for finding in report.findings}


def wanted(manifest: LakeManifest) -> set[tuple[str, str, str]]:
    return {(expected.rule, str(expected.status), expected.key) for expected in manifest.expected()}


def test_the_simulator_knows_every_rule() -> None:
    assert set(TAMPERS) == set(STATUS) == {rule for rule in RULES if rule.startswith("lake-")}
    assert all(RULES[rule].status == status or RULES[rule].also == status for rule, status in STATUS.items())


def test_whole_results_are_valid(tmp_path: Path) -> None:
    manifest = write(tmp_path / "lake", spec=LakeSpec(queries=3, results=3, prefix="logs/lake")).manifest
    report = ask(tmp_path / "lake")
    assert (report.exit_code, report.findings) == (0, ())
    assert (report.summary.digests.valid, report.summary.logs.valid) == (3, 9)
    assert {query.key: query.statement for query in report.saved_queries} == dict(manifest.queries)
    assert all(query.statement_covered and query.signature == "valid" for query in report.saved_queries)
    assert [key.source for key in report.public_keys] == ["file"]


@pytest.mark.parametrize("rule", READABLE)
def test_each_tampering_is_found_and_nothing_else(tmp_path: Path, rule: str) -> None:
    manifest = write(tmp_path / "lake", rule, spec=LakeSpec(queries=2)).manifest
    report = ask(tmp_path / "lake")
    assert told(report) == wanted(manifest)
    assert report.exit_code == (3 if rule == "lake-key-unknown" else 1)


@pytest.mark.parametrize("rule", TAMPERS)
def test_in_s3_too(aws: AwsServer, rule: str) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    spec = replace(SPEC, bucket=BUCKET, queries=2, prefix="audit")
    simulation = simulate_lake(spec, S3Sink(BUCKET, client), [rule], new_key=Keys())
    publish(aws, simulation)
    report = ask_s3("audit/")
    expected = wanted(simulation.manifest)
    if rule == "lake-key-unknown":  # CloudTrail itself lists other keys of that time
        expected = {(name, "altered", key) for name, _, key in expected}
    assert told(report) == expected
    assert report.exit_code == (3 if rule.endswith("-unreadable") else 1)
    assert all(finding.bucket == BUCKET for finding in report.findings)


def test_all_of_them_at_once_keep_apart(tmp_path: Path) -> None:
    manifest = write(tmp_path / "lake", *READABLE, spec=LakeSpec(queries=len(READABLE) + 1)).manifest
    report = ask(tmp_path / "lake")
    assert told(report) == wanted(manifest)
    counts = report.summary.digests
    assert counts.valid + counts.altered + counts.missing + counts.unverifiable == len(READABLE) + 1


def test_a_wish_that_finds_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TamperError, match="at least 2 queries"):
        simulate_lake(SPEC, FolderSink(tmp_path), ["lake-moved", "lake-result-extra"], new_key=Keys())
    with pytest.raises(TamperError, match="did you mean lake-moved"):
        simulate_lake(SPEC, FolderSink(tmp_path), ["lake-move"], new_key=Keys())
    assert list(tmp_path.iterdir()) == []
