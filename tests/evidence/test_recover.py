from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from cloudtrail_validate.api import run
from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.cli.recover import command
from cloudtrail_validate.evidence.recover import Outcome, Recovery, ReportError, plan
from cloudtrail_validate.report import Verdict
from cloudtrail_validate.request import Request
from tests.evidence.kit import BUCKET, Trail, without_first_event
from tests.servers import faults

if TYPE_CHECKING:
    from tests.servers.proxy import FaultProxy

SIDECAR = ".metadata.json"


def recover(report: Path, folder: Path, *more: str) -> Result:
    return CliRunner().invoke(command, [str(report), "--to", str(folder), *more], standalone_mode=False)


def lines(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def changed(report: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The report with its first finding that knows an original edited."""
    document = json.loads(report.read_text())
    edit(next(f for f in document["findings"] if (f.get("versions") or {}).get("original")))
    report.write_text(json.dumps(document))
    return report


def everything_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def robbed(trail: Trail, tmp_path: Path) -> tuple[Trail, Path, dict[str, bytes]]:
    """A trail with a log altered and one digest overwritten, its report, and the originals' bytes."""
    log, digest = trail.logs[-1], trail.digests[1]
    originals = {key: trail.get(key) for key in (log, digest)}
    trail.put(log, without_first_event(originals[log]))
    trail.put(digest, gzip.compress(b"{}"))
    return trail, trail.report(tmp_path / "report.json"), originals


def test_what_comes_back_validates(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path) -> None:
    trail, report, originals = robbed
    copy = tmp_path / "copy"
    trail.copy(copy, without=originals)

    result = recover(report, copy)

    assert result.return_value == 0, result.output
    assert {outcome for outcome, *_ in lines(result)} == {"recovered", "present"}
    assert {where for outcome, where in lines(result) if outcome == "recovered"} == {
        f"s3://{BUCKET}/{key}" for key in originals
    }
    for key, body in originals.items():
        assert (copy / key).read_bytes() == body
    assert not [name for name in everything_in(copy) if ".ctvalidate-" in name]
    manifest = trail.simulation.manifest
    request = Request(start=manifest.start, end=manifest.end, source=copy, public_keys=trail.key_file)
    assert run(request, now=manifest.end + timedelta(hours=1)).report.verdict is Verdict.VALID

    again = recover(report, copy)
    assert again.return_value == 0
    assert {outcome for outcome, *_ in lines(again)} == {"present"}


def test_another_file_is_kept_unless_forced(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path) -> None:
    trail, report, originals = robbed
    log, digest = originals
    folder = tmp_path / "to"
    for key in originals:
        (folder / key).parent.mkdir(parents=True)
    (folder / log).write_bytes(b"mine")
    (folder / digest).write_bytes(originals[digest])
    sidecar = folder / (digest + SIDECAR)
    sidecar.write_text('{"signature": "mine"}')

    kept = recover(report, folder)
    assert kept.return_value == 3
    assert [line[2] for line in lines(kept) if line[0] == "failed"] == [
        "refused: another file lies there (--force replaces it)"
    ]
    assert (folder / log).read_bytes() == b"mine"

    assert recover(report, folder, "--force").return_value == 0
    assert (folder / log).read_bytes() == originals[log]
    wanted = trail.s3.list_object_versions(Bucket=BUCKET, Prefix=digest)["Versions"][-1]["VersionId"]
    head = trail.s3.head_object(Bucket=BUCKET, Key=digest, VersionId=wanted)
    assert json.loads(sidecar.read_text()) == head["Metadata"]
    assert (folder / log).stat().st_mtime == pytest.approx(head["LastModified"].timestamp(), abs=60)


def test_a_digest_without_its_signature_is_not_yet_recovered(
    robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path
) -> None:
    _, report, originals = robbed
    digest = list(originals)[1]
    folder = tmp_path / "to"
    (folder / digest).parent.mkdir(parents=True)
    (folder / digest).write_bytes(originals[digest])
    assert recover(report, folder).return_value == 0
    assert "signature" in json.loads((folder / (digest + SIDECAR)).read_text())


@pytest.mark.parametrize("key", ["../out.json.gz", "/../../out.json.gz", "a/./b", "a\0b", "a/", "", "//"])
def test_no_key_leads_out_of_the_folder(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path, key: str) -> None:
    _, report, _ = robbed
    folder = tmp_path / "outer" / "to"
    result = recover(changed(report, lambda finding: finding.update(key=key)), folder)
    assert result.return_value == 3
    refused = [line for line in lines(result) if line[0] == "failed"]
    assert [line[-1] for line in refused] == ["refused: this key would not be a file in the folder"]
    assert "\0" not in result.output
    assert everything_in(tmp_path / "outer") == ["to/" + name for name in everything_in(folder)]


def test_no_symbolic_link_leads_out_of_the_folder(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path) -> None:
    _, report, _ = robbed
    folder, outside = tmp_path / "to", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "AWSLogs").symlink_to(outside)
    result = recover(report, folder, "--force")
    assert result.return_value == 3
    assert {line[-1] for line in lines(result)} == {"refused: a symbolic link leads out of the folder"}
    assert everything_in(outside) == []


def test_what_is_not_the_original_is_not_written(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path) -> None:
    trail, report, originals = robbed
    log = next(iter(originals))
    folder = tmp_path / "to"
    (folder / log).parent.mkdir(parents=True)
    (folder / log).write_bytes(b"what was copied before")
    document = json.loads(report.read_text())
    for finding in document["findings"]:
        if finding["key"] == log:
            finding["versions"]["original"]["version_id"] = trail.version_of(log)  # the altered one
    report.write_text(json.dumps(document))

    result = recover(report, folder, "--force")

    assert result.return_value == 3
    assert [line[2][:32] for line in lines(result) if line[0] == "failed"] == ["what came is not the original (S"]
    assert (folder / log).read_bytes() == b"what was copied before"
    assert not [name for name in everything_in(folder) if ".ctvalidate-" in name]


def test_a_version_that_is_gone_and_an_object_without_original_are_told(
    robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path
) -> None:
    trail, report, originals = robbed
    log = next(iter(originals))
    for version in trail.s3.list_object_versions(Bucket=BUCKET, Prefix=log)["Versions"]:
        trail.s3.delete_object(Bucket=BUCKET, Key=log, VersionId=version["VersionId"])
    document = json.loads(report.read_text())
    document["findings"] += [
        {**document["findings"][0], "rule": rule, "key": rule, "versions": {"note": "no \x1b[2J version is left"}}
        for rule in ("log-missing", "log-extra")
    ]
    report.write_text(json.dumps(document))

    result = recover(report, tmp_path / "to")

    assert result.return_value == 3
    told = {line[0]: line[-1] for line in lines(result)}
    assert told["failed"].startswith("version ")
    assert told["lost"] == "no \\x1b[2J version is left"
    assert sum(line[0] == "lost" for line in lines(result)) == 1, "an extra log has no original to lose"
    assert "1 failed, 1 without a proven version" in result.stderr


def test_two_keys_cannot_become_one_file(robbed: tuple[Trail, Path, dict[str, bytes]], tmp_path: Path) -> None:
    _, report, originals = robbed
    log, digest = originals
    items = {item.where.key: item for item in plan(report.read_bytes()).wanted}
    (tmp_path / "to").mkdir()
    recovery = Recovery(Aws(), tmp_path / "to", force=True)
    assert recovery.one(items[log]).outcome is Outcome.RECOVERED
    # What the digest's file would be called is the log's already.
    (tmp_path / "to" / digest).parent.mkdir(parents=True)
    (tmp_path / "to" / digest).hardlink_to(tmp_path / "to" / log)
    done = recovery.one(items[digest])
    assert done.detail == "refused: another recovered key already is the same file"
    assert (tmp_path / "to" / digest).read_bytes() == originals[log]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\udcff",
        '{"schema": "ctvalidate.report/2", "findings": []}',
        '{"schema": "ctvalidate.report/1", "findings": [{"rule": 1}]}',
        '{"schema": "ctvalidate.report/1", "findings": [{"rule": "log-altered", "bucket": "b", "key": "k"}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_report_with_versions_is_refused(aws: object, tmp_path: Path, text: str) -> None:
    report = tmp_path / "report.json"
    report.write_text(text, errors="surrogateescape")
    with pytest.raises(ReportError):
        plan(report.read_bytes())
    result = recover(report, tmp_path / "to")
    assert result.return_value == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_without_credentials_nothing_is_done(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    finding = {"rule": "log-altered", "bucket": BUCKET, "key": "k", "versions": {}}
    report.write_text(json.dumps({"schema": "ctvalidate.report/1", "findings": [finding]}))
    result = recover(report, tmp_path / "to")
    assert result.return_value == 2
    assert "no AWS credentials found" in result.stderr


def test_a_hash_that_is_none_recovers_nothing(tmp_path: Path) -> None:
    original = {"version_id": "1", "last_modified": "2026-01-01T00:00:00Z", "sha256": ""}
    finding = {"rule": "log-altered", "bucket": BUCKET, "key": "k", "versions": {"original": original}}
    planned = plan(json.dumps({"schema": "ctvalidate.report/1", "findings": [finding]}))
    assert planned.wanted == ()
    assert [why for _, why in planned.lost] == ["no version of it is proven"]


KILLED = """
import sys
from cloudtrail_validate.runtime import files
if sys.argv.pop(1) == "named":
    files._nameless = lambda folder: None
from cloudtrail_validate.__main__ import entry
entry()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["nameless", "named"])
def test_a_killed_run_leaves_nothing_that_a_later_one_takes_for_planted(
    robbed: tuple[Trail, Path, dict[str, bytes]],
    fault_proxy: Callable[[str], FaultProxy],
    tmp_path: Path,
    number: signal.Signals,
    kind: str,
) -> None:
    trail, report, originals = robbed
    copy = tmp_path / "copy"
    trail.copy(copy, without=originals)
    proxy = fault_proxy(os.environ["AWS_ENDPOINT_URL"])
    for key, body in originals.items():
        proxy.fault(faults.Dribble(len(body) // 2, delay=0.5), path=re.escape(key))
    command = [sys.executable, "-c", KILLED, kind, "recover", str(report), "--to", str(copy)]
    with subprocess.Popen(command, env=os.environ | {"AWS_ENDPOINT_URL": proxy.endpoint}) as process:
        until = time.monotonic() + 30
        while time.monotonic() < until and len(list(copy.glob(".ctvalidate-*"))) < 2:
            if kind == "nameless" and proxy.count("GET", "json.gz") >= 2:
                time.sleep(0.3)  # until what came of both is being written
                break
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=20) == (-number if number is signal.SIGKILL else 130)
    left = [path for path in copy.rglob("*") if ".ctvalidate" in path.name]
    assert len(left) == (2 if kind == "named" and number is signal.SIGKILL else 0)
    assert all(path.parent == copy for path in left)
    manifest = trail.simulation.manifest
    request = Request(start=manifest.start, end=manifest.end, source=copy, public_keys=trail.key_file)
    later = manifest.end + timedelta(hours=1)
    found = {finding.rule for finding in run(request, now=later).report.findings}
    assert found
    assert found <= {"log-missing", "digest-missing", "gap-broken", "log-undigested"}
    assert recover(report, copy).return_value == 0
    assert not [name for name in everything_in(copy) if ".ctvalidate" in name]
    assert run(request, now=later).report.verdict is Verdict.VALID
