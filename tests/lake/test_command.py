"""`ctvalidate lake` and `simulate --lake` as a user runs them: codes, formats, refusals; and what S3 may answer."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner

from cloudtrail_validate.cli import group
from cloudtrail_validate.core.lake import statement_in
from cloudtrail_validate.report import formats, from_json
from cloudtrail_validate.report.table.queries import MOST_QUERIES
from cloudtrail_validate.simulate import LakeSpec, S3Sink, simulate_lake

from .kit import BUCKET, SIGN, Keys, ask_s3, edit_sign, folder_of, found, keys_of, publish, write

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.servers.aws import AwsServer


def tool(*words: object) -> Result:
    return CliRunner().invoke(group, [str(word) for word in words], standalone_mode=False)


def lake(root: Path, *words: object) -> Result:
    return tool("lake", root, "--public-keys", keys_of(root), *words)


def test_what_simulate_prints_is_the_command_that_verifies(tmp_path: Path) -> None:
    written = tool(
        *("simulate", tmp_path / "lake", "--lake", 3, "--region", "us-east-1", "--region", "eu-west-1"),
        *("--tamper", "lake-result-extra", "--manifest", tmp_path / "manifest.json"),
    )
    name, *words = shlex.split(written.stdout)
    assert name == "ctvalidate"
    answer = tool(*words, "--format", "json")
    report = from_json(answer.stdout)
    assert answer.return_value == report.exit_code == 1
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["schema"] == "ctvalidate.lake-simulation/1"
    expected = [item for planted in manifest["planted"] for item in planted["expected"]]
    assert [(item["rule"], item["key"]) for item in expected] == [(one.rule, one.key) for one in report.findings]
    assert {query.region for query in report.saved_queries} == {"us-east-1", "eu-west-1"}


@pytest.mark.parametrize(
    "words", [["--hours", 3], ["--restart", "1"], ["--account-id", "111122223333", "--account-id", "444455556666"]]
)
def test_options_of_a_trail_are_refused(tmp_path: Path, words: list[object]) -> None:
    with pytest.raises(Exception, match="--lake"):
        CliRunner().invoke(
            group,
            [str(word) for word in ("simulate", tmp_path / "lake", "--lake", 1, *words)],
            standalone_mode=False,
            catch_exceptions=False,
        )


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_is_whole_and_names_the_findings(tmp_path: Path, name: str) -> None:
    root = tmp_path / "lake"
    write(root, "lake-moved", "lake-result-missing", spec=LakeSpec(queries=3))
    answer = lake(root, "--format", name)
    assert answer.return_value == 1
    assert "lake-moved" in answer.stdout
    if name in ("json", "sarif", "asff", "ocsf"):
        json.loads(answer.stdout)
    elif name == "jsonl":
        *_, last = [json.loads(line) for line in answer.stdout.splitlines()]
        assert len(last["queries"]) == 3
    elif name == "junit":
        suites = {suite.get("name"): suite for suite in ET.fromstring(answer.stdout)}  # noqa: S314 - our own
        assert (suites["CloudTrail-Lake"].get("tests"), suites["CloudTrail-Lake"].get("failures")) == ("3", "2")
    elif name == "html":
        assert "Queries and their statements" in answer.stdout
        assert "log file validation" not in answer.stdout
        assert "digest" not in answer.stdout.partition("<main>")[2].partition("<section id=")[0].lower()


def test_the_report_keeps_to_the_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    write(tmp_path / "lake", "lake-sign-missing", spec=LakeSpec(queries=2))
    schema = json.loads(tool("schema").stdout)
    jsonschema.validate(json.loads(lake(tmp_path / "lake", "--format", "json").stdout), schema)


def test_the_table_shows_the_statement_and_that_it_is_covered(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    manifest = write(root, "lake-result-altered", spec=LakeSpec(queries=MOST_QUERIES + 4)).manifest
    answer = lake(root)
    assert f"and {4} more queries: --show all" in answer.stdout
    shown = lake(root, "--show", "all").stdout
    assert all(statement in shown for statement in manifest.queries.values())
    assert shown.index("Covered    no") < shown.index("Covered    yes")  # what is wrong comes first


def test_kept_reports_are_shown_again_and_merged(tmp_path: Path) -> None:
    kept = []
    for name, tampers in (("one", []), ("two", ["lake-moved"])):
        write(tmp_path / name, *tampers)
        kept.append(tmp_path / f"{name}.json")
        lake(tmp_path / name, "-o", kept[-1], "-q")
    again = tool("report", kept[1])
    assert again.return_value == 1
    assert "Statement" in again.stdout
    merged = from_json(tool("report", *kept, "--format", "json").stdout)
    assert (merged.exit_code, len(merged.saved_queries)) == (1, 2)
    assert (merged.summary.digests.valid, merged.summary.digests.altered, merged.summary.logs.valid) == (1, 1, 4)
    trail = json.loads(kept[0].read_text())
    del trail["queries"]
    (tmp_path / "trail.json").write_text(json.dumps(trail))
    assert "not of both" in str(tool("report", kept[1], tmp_path / "trail.json").exception)


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    (folder / "\x1b[2Jextra \u202e.csv").write_bytes(b"x")
    for name in (formats.TABLE, "csv", "junit", "html"):
        answer = lake(root, "--format", name).stdout
        assert "\x1b" not in answer
        assert "\u202e" not in answer


def test_codes(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    for place in (root, folder, folder / SIGN):
        assert tool("lake", place, "--public-keys", keys_of(root)).return_value == 0
    (tmp_path / "empty").mkdir()
    assert tool("lake", tmp_path / "empty", "--public-keys", keys_of(root)).return_value == 4
    other = tmp_path / "other"
    write(other, "lake-key-unknown")
    assert lake(other).return_value == 3
    assert lake(other, "--tolerate", "lake-key-unknown").return_value == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tolerate", "lake-moved"], "expected an unverifiable rule"),
        (["--tolerate", "gap-tail"], "expected a lake- rule"),
        (["--external-id", "x"], "--role-arn"),
        (["--role-arn", "admin"], "role/NAME"),
        (["--format", "xls"], "--format"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    root = tmp_path / "lake"
    write(root)
    answer = lake(root, *words)
    assert told in str(answer.exception)
    assert "lies among the results" in str(lake(root, "-o", root / "report.json").exception)
    for place in ("s3://", "s3://B/", tmp_path / "nowhere"):
        assert "expected s3://BUCKET/PREFIX/ or a folder" in str(tool("lake", place).exception)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("tampers", "code"), [([], 130), (["lake-result-missing"], 1)])
def test_an_interrupt_leaves_what_was_found_until_then(tmp_path: Path, tampers: list[str], code: int) -> None:
    """A result of terabytes, which takes no room, gives time to be interrupted in."""
    root = tmp_path / "lake"
    simulation = write(root, *tampers, spec=LakeSpec(queries=3))
    with (folder_of(root, simulation, 2) / "result_1.csv.gz").open("r+b") as file:
        file.truncate(1 << 42)
    command = [sys.executable, "-m", "cloudtrail_validate", "lake", str(root), "--public-keys", str(keys_of(root))]
    with subprocess.Popen(
        [*command, "--format", "json", "--progress", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:  # two of three folders are done, whatever they came to
            if json.loads(line)["account_regions_done"] == 2:
                break
        process.send_signal(signal.SIGINT)
        report = from_json(process.stdout.read())
        process.stderr.read()
    assert process.wait(timeout=60) == report.exit_code == code
    assert report.stopped
    assert len(report.saved_queries) == 2


# S3


def in_s3(aws: AwsServer, *tampers: str, **spec: Any) -> LakeSpec:
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    asked = LakeSpec(bucket=BUCKET, **spec)
    publish(aws, simulate_lake(asked, S3Sink(BUCKET, client), tampers, new_key=Keys()))
    return asked


def test_a_whole_bucket_is_searched_and_logs_are_left_alone(aws: AwsServer) -> None:
    in_s3(aws, queries=2)
    logs = [f"AWSLogs/111122223333/CloudTrail/us-east-1/2026/05/{day:02}/log.json.gz" for day in range(1, 9)]
    for key in logs:
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    before = aws.calls["s3:ListBucket", "us-east-1"]
    report = ask_s3()
    assert (report.exit_code, len(report.saved_queries)) == (0, 2)
    assert [key.source for key in report.public_keys] == ["aws"]
    assert aws.calls["s3:ListBucket", "us-east-1"] - before < 10  # the logs' eight folders were not looked into


def test_a_key_of_another_region_or_time_is_sought(aws: AwsServer) -> None:
    in_s3(aws, queries=1)
    client = aws.client("s3")
    (key,) = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"] if item["Key"].endswith(SIGN)]
    sign = json.loads(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    for change, rules in (
        ({"region": "eu-west-1"}, ["lake-moved"]),
        ({"region": "af-south-1"}, ["lake-moved"]),  # not enabled: nobody answers there
        ({"queryCompleteTime": "2023-01-01T00:00:00Z"}, ["lake-moved", "lake-moved"]),
        ({"publicKeyFingerprint": "0" * 32}, ["lake-key-unknown"]),
    ):
        client.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(sign | change).encode())
        report = ask_s3()
        assert [finding.rule for finding in report.findings] == rules
        assert report.exit_code == 1
    aws.public_keys.clear()
    client.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(sign).encode())
    report = ask_s3()
    assert (report.exit_code, found(report)) == (3, [("lake-key-unknown", "unverifiable", SIGN)])


def test_what_is_kept_is_proven_again_offline(aws: AwsServer, tmp_path: Path) -> None:
    in_s3(aws, "lake-result-extra", queries=3)
    kept = tmp_path / "kept"
    first = from_json(tool("lake", f"s3://{BUCKET}/", "--to", kept, "--format", "json").stdout)
    summed = subprocess.run(
        ["sha256sum", "-c", "--quiet", "manifest.sha256"], cwd=kept, capture_output=True, check=False
    )
    assert (summed.returncode, summed.stdout) == (0, b"")
    again = from_json(tool("lake", kept / "tree", "--public-keys", kept / "keys.json", "--format", "json").stdout)
    assert found(again) == found(first) == [("lake-result-extra", "extra", "result_3.csv.gz")]
    assert [one.statement for one in again.saved_queries] == [one.statement for one in first.saved_queries]
    assert from_json((kept / "report.json").read_text()).verdict == "changed"
    client = aws.client("s3")
    for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        there = client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        assert (kept / "tree" / item["Key"]).read_bytes() == there
    assert not list(kept.glob(".ctvalidate-*"))
    assert "holds a finished snapshot" in str(tool("lake", f"s3://{BUCKET}/", "--to", kept).exception)
    assert tool("lake", f"s3://{BUCKET}/", "--to", kept, "--force").return_value == 1
    assert tool("verify-snapshot", kept).return_value == 0


def test_no_key_leaves_the_folder_that_is_kept(aws: AwsServer, tmp_path: Path) -> None:
    in_s3(aws, queries=1)
    client = aws.client("s3")
    (sign,) = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET)["Contents"] if one["Key"].endswith(SIGN)]
    folder = sign.removesuffix(SIGN)
    hostile = [
        "a/../../../../../../../../../../evil",
        "x" * 250,
        "a//b",
        "..",
        "evil.metadata.json",
    ]
    odd = ["con:1", "\u202e", "a\\b", "trailing.", "NUL", "aux.txt"]  # files on this system, if on no other
    for name in hostile + odd:
        client.put_object(Bucket=BUCKET, Key=folder + name, Body=b"x")
    answer = tool("lake", f"s3://{BUCKET}/", "--to", tmp_path / "in" / "kept")
    assert answer.return_value == 1
    assert "left out" not in answer.stderr
    assert len(list((tmp_path / "in" / "kept" / "trees" / "unnamed").iterdir())) == len(hostile)
    assert not list(tmp_path.rglob("evil*"))
    assert "\u202e" not in answer.stderr
    checked = tool("verify-snapshot", tmp_path / "in" / "kept")
    assert (checked.return_value, "as it was proven" in checked.stdout) == (0, True)


def test_a_folder_that_cannot_be_written_to_turns_a_pass_into_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "lake"
    write(root)
    (tmp_path / "file").write_text("")
    assert "--to" in str(lake(root, "--to", tmp_path / "file" / "kept").exception)
    assert "lies among the results" in str(lake(root, "--to", root / "kept").exception)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # as a full disk: no file may become larger
        refused = lake(root, "--to", tmp_path / "begun")
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, before[1]))
        answer = lake(root, "--to", tmp_path / "kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write" in str(refused.exception)
    assert answer.return_value == 3
    assert "cannot write" in answer.stderr
    assert "VALID" in answer.stdout
    assert lake(root, "--to", tmp_path / "kept").return_value == 0
    assert tool("verify-snapshot", tmp_path / "kept").return_value == 0


def test_what_may_not_be_read_is_unverifiable(aws: AwsServer) -> None:
    in_s3(aws, queries=1)
    aws.denied.add("cloudtrail:ListPublicKeys")
    report = ask_s3()
    assert (report.exit_code, found(report)) == (3, [("lake-key-unknown", "unverifiable", SIGN)])
    assert "cloudtrail:ListPublicKeys" in report.findings[0].message
    aws.denied = {"s3:GetObject"}
    report = ask_s3()
    assert (report.exit_code, found(report)) == (3, [("lake-sign-unreadable", "unverifiable", SIGN)])
    aws.denied = {"s3:ListBucket"}
    answer = tool("lake", f"s3://{BUCKET}/")
    assert "s3:ListBucket" in str(answer.exception)
    assert getattr(answer.exception, "exit_code", None) == 3
    answer = tool("lake", "s3://amzn-s3-demo-other/")
    assert getattr(answer.exception, "exit_code", None) in (2, 3)


# The statement


@pytest.mark.parametrize(
    ("line", "statement"),
    [
        (b'"SELECT a, b FROM x"\na,b\n', "SELECT a, b FROM x"),
        (b"SELECT a, b FROM x\na,b\n", "SELECT a, b FROM x"),
        (b'"SELECT ""a""\nFROM x"\n', 'SELECT "a"\nFROM x'),
        (b"/* who */ with t as (select 1) select * from t\n", "/* who */ with t as (select 1) select * from t"),
        (b"eventTime,eventName\n", None),
        (b"selection,eventName\n", None),
        (b"", None),
        (b'"SELECT', "SELECT"),
    ],
)
def test_the_first_line_is_the_statement_where_it_is_one(line: bytes, statement: str | None) -> None:
    import gzip

    assert statement_in(gzip.compress(line)) == statement


def test_no_statement_in_what_is_no_gzip() -> None:
    assert statement_in(b"SELECT 1") is None
    assert statement_in(b"\x1f\x8b") is None


def test_results_without_a_statement_say_so(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    folder = folder_of(root, write(root))
    edit_sign(folder, hashAlgorithm="SHA-1")
    report = from_json(lake(root, "--format", "json").stdout)
    assert not report.saved_queries[0].statement_covered
    assert msgspec.to_builtins(report.saved_queries[0])["signature"] == "unsupported"
