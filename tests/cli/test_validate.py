"""`ctvalidate` as it is used: what goes where, what it exits with, and what happens when it is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.aws.endpoints import access_to
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.report import ProgressRecord, from_json
from tests.cli.helpers import call, finish, spawn, start
from tests.faults.helpers import BUCKET, DIGESTS, LOGS, rules_of
from tests.servers import faults
from tests.servers.clients import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

ROLE = "arn:aws:iam::123456789012:role/auditor"
JSON = ("--format", "json")


def bucket(trail: Trail) -> list[str]:
    return ["--s3-bucket", BUCKET, *trail.times()]


def test_json_on_standard_output_is_one_document(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *bucket(trail), *JSON)
    report = from_json(answer.out)
    assert (answer.code, report.exit_code, report.summary.logs.valid) == (0, 0, LOGS)
    assert answer.err == ""


def test_validate_is_what_no_subcommand_means(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "validate", *bucket(trail), *JSON)
    assert from_json(answer.out).verdict == "valid"


def test_by_trail_arn(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "--trail-arn", trail.arn, *trail.times(), *JSON)
    report = from_json(answer.out)
    assert (answer.code, report.request.trail_arn, report.request.source) == (0, trail.arn, f"s3://{BUCKET}/")


def test_tampering_exits_with_1(trail: Trail, aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    aws.client("s3").delete_object(Bucket=BUCKET, Key=trail.logs[3])
    answer = call(capsys, *bucket(trail))
    assert answer.code == 1
    assert "log-missing" in answer.out
    assert trail.logs[3].rpartition("_")[2] in answer.out


def test_nothing_there_exits_with_4(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *bucket(trail), "--s3-prefix", "elsewhere", *JSON)
    assert (answer.code, from_json(answer.out).verdict) == (4, "empty")


def test_tolerated_findings_stay_in_the_report(
    trail: Trail, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy.fault(faults.archived(), path=re.escape(trail.logs[3]))
    assert call(capsys, *bucket(trail), *JSON).code == 3
    answer = call(capsys, *bucket(trail), "--tolerate", "log-unreadable", *JSON)
    assert (answer.code, rules_of(from_json(answer.out))) == (0, {"log-unreadable": 1})


def test_narrowing(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    here = call(capsys, *bucket(trail), "--region", "us-east-1", "--account-id", "123456789012", *JSON)
    assert (here.code, from_json(here.out).request.regions) == (0, ("us-east-1",))
    assert call(capsys, *bucket(trail), "--region", "eu-west-1", *JSON).code == 4
    assert call(capsys, *bucket(trail), "--account-id", "111122223333", *JSON).code == 4


def test_offsets_are_honoured_and_shown(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    times = ["--start-time", "2026-03-07T02:00:00+01:00", "--end-time", "2026-03-07T05:00"]
    report = from_json(call(capsys, "--s3-bucket", BUCKET, *times, *JSON).out)
    assert (report.request.start.hour, report.request.end.hour, report.summary.window_seconds) == (1, 5, 4 * 3600)


def test_output_files_by_ending(trail: Trail, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["a.json", "b.csv", "c.sarif", "d.html", "e.xml", "f.jsonl", "g.asff.json", "h.ocsf.json"]
    (tmp_path / "a.json").write_text("what was there before")
    answer = call(capsys, *bucket(trail), *(part for name in names for part in ("--output", str(tmp_path / name))))
    assert answer.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all((tmp_path / name).stat().st_size for name in names)
    report = from_json((tmp_path / "a.json").read_bytes())
    assert report.summary.logs.valid == LOGS
    assert BUCKET in answer.out  # the table is still on standard output
    json.loads((tmp_path / "c.sarif").read_text())


def test_an_output_that_cannot_be_written_after_all(
    trail: Trail, tmp_path: Path, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    proxy.latency_ms = 30
    process = start(*bucket(trail), "--output", str(folder / "r.json"), *JSON, env=dict(os.environ))
    wait_for(lambda: proxy.count() > 0)
    folder.rmdir()
    answer = finish(process)
    assert from_json(answer.out).summary.logs.valid == LOGS
    assert "cannot write" in answer.err
    assert "Traceback" not in answer.err


def test_verbose_lists_every_object(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *bucket(trail), "--verbose")
    lines = [line for line in answer.out.splitlines() if line.endswith("\tvalid")]
    assert sum(line.startswith("Digest file\ts3://") for line in lines) == DIGESTS - 1
    # A simulated bucket was written just now, so each log is valid and rewritten.
    assert all(key in answer.out for key in (*trail.logs, *trail.digests[1:]))
    machine = call(capsys, *bucket(trail), "--verbose", *JSON)
    assert from_json(machine.out).verdict == "valid"
    assert all(key in machine.err for key in trail.logs)


def test_colour_and_progress_are_for_terminals(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    answer = spawn(*bucket(trail))
    assert (answer.code, answer.err) == (0, "")
    assert "\x1b[3" not in answer.out
    assert "\x1b[9" not in answer.out


def test_hostile_keys_reach_no_terminal(
    trail: Trail, aws: AwsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trail.logs[3].rpartition("/")[0]
    for name in ("\x1b]0;owned\x07.json.gz", "\x1b[2J\x9b31m.gz", "[red]markup[/red].gz", "\u202egnp.gz"):
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=b"x")
    now = ["--s3-bucket", BUCKET, "--start-time", trail.times()[1], "--tolerate", "gap-tail"]
    for arguments in (now, [*now, "--verbose"], [*now, *JSON, "--verbose"]):
        answer = call(capsys, *arguments)
        for stream in (answer.out, answer.err):
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", stream)


def test_a_reader_that_leaves(trail: Trail) -> None:
    for arguments in (bucket(trail), [*bucket(trail), *JSON], [*bucket(trail), "--verbose"]):
        process = start(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        answer = finish(process)
        assert answer.err == ""
        assert answer.code == 0


def test_one_line_of_it_is_enough(trail: Trail) -> None:
    command = subprocess.list2cmdline([sys.executable, "-m", "cloudtrail_validate", *bucket(trail), "--verbose"])
    done = subprocess.run(f"{command} | head -1", shell=True, capture_output=True, text=True, check=True, timeout=60)  # noqa: S602
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def wait_for(happened: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it has happened."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_what_it_knows(
    trail: Trail, proxy: FaultProxy, tmp_path: Path, number: signal.Signals
) -> None:
    held = proxy.fault(faults.Hang(), path=re.escape(trail.logs[0]))
    process = start(*bucket(trail), *JSON, "--output", str(tmp_path / "report.json"))
    wait_for(lambda: held.fired > 0 and proxy.count("GET", r"/CloudTrail/.*json\.gz$") >= LOGS)
    time.sleep(0.2)  # for the answers to the others
    process.send_signal(number)
    answer = finish(process, timeout=15)
    report = from_json(answer.out)
    assert (answer.code, report.exit_code, report.verdict, report.interrupted) == (130, 130, "unproven", True)
    assert report.summary.digests.valid + report.summary.logs.valid > 0
    assert isinstance(report.progress, ProgressRecord)
    assert 0 < report.progress.objects_done < report.progress.objects_known
    assert [chain.unfinished for chain in report.chains] == [True]
    assert all(finding.status == "notice" for finding in report.findings)
    assert "interrupted" in answer.err
    assert "Traceback" not in answer.err
    assert from_json((tmp_path / "report.json").read_bytes()) == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("format_", ["json", "jsonl", "table"])
def test_an_interrupted_run_that_found_a_change_says_so_by_its_code(
    trail: Trail, proxy: FaultProxy, aws: AwsServer, tmp_path: Path, number: signal.Signals, format_: str
) -> None:
    aws.client("s3").delete_object(Bucket=BUCKET, Key=trail.logs[3])
    held = proxy.fault(faults.Hang(), path=re.escape(trail.logs[0]))
    process = start(*bucket(trail), "--format", format_, "--output", str(tmp_path / "report.json"))
    wait_for(lambda: held.fired > 0 and proxy.count("GET", r"/CloudTrail/.*json\.gz$") >= LOGS)
    time.sleep(0.2)
    process.send_signal(number)
    answer = finish(process, timeout=15)
    report = from_json((tmp_path / "report.json").read_bytes())
    assert (answer.code, report.exit_code, report.verdict, report.interrupted) == (1, 1, "changed", True)
    if format_ == "table":
        assert "INTERRUPTED after" in answer.out
    else:
        assert '"interrupted":true' in answer.out.replace(" ", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_before_there_is_a_run(
    trail: Trail, proxy: FaultProxy, tmp_path: Path, number: signal.Signals
) -> None:
    held = proxy.fault(faults.Hang(), operation="DescribeTrails")
    old = tmp_path / "report.json"
    old.write_text("yesterday's")
    process = start("--trail-arn", trail.arn, *trail.times(), *JSON, "--output", str(old))
    wait_for(lambda: held.fired > 0)
    process.send_signal(number)
    answer = finish(process, timeout=15)
    assert (answer.code, answer.out) == (130, "")
    assert "Traceback" not in answer.err
    assert "ctvalidate: interrupted" in answer.err
    assert "report.json is of an earlier run" in answer.err


@pytest.mark.parametrize("query", ["delimiter=/", ""])
def test_interrupted_before_anything_is_known(trail: Trail, proxy: FaultProxy, tmp_path: Path, query: str) -> None:
    held = proxy.fault(faults.Hang(), query=query)
    output = ["--output", str(tmp_path / "report.json")]
    process = start("--trail-arn", trail.arn, *trail.times(), *JSON, *output)
    wait_for(lambda: held.fired > 0)
    process.send_signal(signal.SIGINT)
    answer = finish(process, timeout=15)
    assert answer.code == 130
    assert "interrupted" in answer.err
    assert "Traceback" not in answer.err
    if answer.out:
        assert from_json(answer.out).verdict != "valid"
    assert {path.name for path in tmp_path.iterdir()} <= {"report.json"}


# AWS's own configuration


def test_a_role(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, *bucket(trail), "--role-arn", ROLE, "--external-id", "secret", *JSON)
    assert from_json(answer.out).run.caller_arn == "arn:aws:sts::123456789012:assumed-role/auditor/ctvalidate"
    assert answer.code == 0


def test_a_role_that_is_refused(trail: Trail, aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    aws.denied.add("sts:AssumeRole")
    answer = call(capsys, *bucket(trail), "--role-arn", ROLE, *JSON)
    assert (answer.code, answer.out) == (2, "")
    assert "sts:AssumeRole" in answer.line


def test_refusals_are_one_line(trail: Trail, aws: AwsServer, capsys: pytest.CaptureFixture[str]) -> None:
    aws.denied.add("s3:ListBucket")
    answer = call(capsys, *bucket(trail))
    assert (answer.code, answer.out) == (3, "")
    assert "s3:ListBucket" in answer.line
    aws.denied = {"cloudtrail:DescribeTrails", "cloudtrail:GetTrail"}
    answer = call(capsys, "--trail-arn", trail.arn, *trail.times())
    assert answer.code == 3
    assert "cloudtrail:GetTrail" in answer.line
    answer = call(capsys, "--s3-bucket", "amzn-s3-demo-bucket-of-nobody", *trail.times())
    assert answer.code == 2
    assert "amzn-s3-demo-bucket-of-nobody" in answer.line


def test_no_credentials(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], aws: AwsServer
) -> None:
    aws.calls.clear()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    answer = call(capsys, *bucket(trail))
    assert answer.code == 2
    assert "no AWS credentials found" in answer.line
    assert not aws.calls


def test_endpoints_apart(
    trail: Trail,
    aws: AwsServer,
    fault_proxy: Callable[[str], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3, cloudtrail = fault_proxy(aws.endpoint), fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDTRAIL", cloudtrail.endpoint)
    assert call(capsys, "--trail-arn", trail.arn, *trail.times()).code == 0
    assert s3.count("GET", "json.gz$") >= LOGS + DIGESTS - 1
    assert s3.count(operation=".") == 0
    assert cloudtrail.count(operation="DescribeTrails|ListPublicKeys") >= 2
    assert cloudtrail.count("GET") == 0


def test_the_endpoint_of_the_command_line_wins(
    trail: Trail, aws: AwsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert call(capsys, *bucket(trail), "--endpoint-url", aws.endpoint).code == 0


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: AwsServer) -> Callable[[str], None]:
    """Write an AWS config file, and leave it to it alone where AWS is."""

    def write(text: str) -> None:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        path = tmp_path / "config"
        keys = (
            f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\nendpoint_url = {aws.endpoint}\n"
        )
        path.write_text(f"[profile auditor]\n{keys}{text}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))

    return write


@pytest.mark.parametrize("by_option", [True, False])
def test_a_profile(
    trail: Trail,
    config: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by_option: bool,
) -> None:
    config("region = eu-west-1\n")
    if not by_option:
        monkeypatch.setenv("AWS_PROFILE", "auditor")
    answer = call(capsys, *bucket(trail), *JSON, *(["--profile", "auditor"] if by_option else []))
    report = from_json(answer.out)
    # Its region chooses endpoints, and narrows nothing.
    assert (answer.code, report.request.regions, report.summary.logs.valid) == (0, (), LOGS)


@pytest.mark.parametrize("style", ["path", "auto"])
def test_path_style_addresses(
    trail: Trail, config: Callable[[str], None], capsys: pytest.CaptureFixture[str], style: str
) -> None:
    config(f"s3 =\n  addressing_style = {style}\n")
    assert call(capsys, *bucket(trail), "--profile", "auditor").code == 0


@pytest.mark.parametrize(
    ("style", "bucket_name", "endpoint"),
    [
        ("virtual", BUCKET, f"https://{BUCKET}.s3.example.com"),
        ("path", BUCKET, "https://s3.example.com"),
        ("auto", BUCKET, "https://s3.example.com"),
    ],
)
def test_the_style_of_addresses_reaches_both_clients(
    config: Callable[[str], None], style: str, bucket_name: str, endpoint: str
) -> None:
    config(f"s3 =\n  addressing_style = {style}\n")
    aws = Aws(profile="auditor", endpoint_url="https://s3.example.com", connect=0.1, attempts=1)
    access = access_to(aws.client("s3"), bucket_name, None, None)
    assert (access.endpoint, access.virtual_hosted) == (endpoint, style == "virtual")


@pytest.mark.parametrize(
    ("named", "host"),
    [
        (
            "arn:aws:s3:eu-central-1:111122223333:accesspoint/trail-copy",
            "trail-copy-111122223333.s3-accesspoint.eu-central-1.amazonaws.com",
        ),
        (
            "trail-copy-abcdef1234567890abcdef1234567890s3alias",
            "trail-copy-abcdef1234567890abcdef1234567890s3alias.s3.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_an_access_point_is_reached_at_its_own_host(monkeypatch: pytest.MonkeyPatch, named: str, host: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    aws = Aws(regions=("eu-west-1",))
    access = access_to(aws.client("s3"), named, None, None)
    assert (access.endpoint, access.virtual_hosted) == (f"https://{host}", True)


def test_a_ca_bundle_that_is_none(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path))
    answer = call(capsys, *bucket(trail))
    assert answer.code == 2
    assert answer.line.startswith("ctvalidate: AWS_CA_BUNDLE: expected a readable PEM file")
