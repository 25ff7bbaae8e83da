"""The incident runbook, `library.py` and the README's local copies are run as they stand there."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.simulate import Simulation
from tests.examples_kit import (
    BUCKET,
    EXAMPLES,
    ROOT,
    SPEC,
    blocks,
    deliver,
    keys_below,
    linux,
    local,
    question,
    shell,
    window,
)

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer


def runbook(tmp_path: Path, simulation: Simulation) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the runbook from its first block to its last, in one shell that stops at the first failure."""
    case = tmp_path / "case"
    script = "\n".join(blocks(EXAMPLES / "incident-runbook.md", "sh"))
    variables = {**question(simulation), "CASE": str(case), "EXAMPLES": str(EXAMPLES)}
    return shell("/bin/sh", "-euc", script, **variables), case


def findings(report: Path) -> set[tuple[str, str]]:
    """(rule, key) of what a report says beyond notices."""
    document = json.loads(report.read_text(encoding="utf-8"))
    return {(item["rule"], item["key"]) for item in document["findings"] if item["status"] != "notice"}


@linux
def test_runbook_names_what_was_done_and_gets_the_genuine_record_back(aws: AwsServer, tmp_path: Path) -> None:
    simulation = deliver(aws, versioning=True)
    s3 = aws.client("s3")
    logs, digests = keys_below(aws, "CloudTrail"), keys_below(aws, "CloudTrail-Digest")
    s3.put_object(Bucket=BUCKET, Key=logs[1], Body=gzip.compress(b'{"Records":[]}'))
    s3.delete_object(Bucket=BUCKET, Key=logs[4])
    s3.put_object(Bucket=BUCKET, Key=digests[2], Body=gzip.compress(b"{}"))

    done, case = runbook(tmp_path, simulation)

    assert done.returncode == 0, done.stderr
    accused = findings(case / "report.json")
    assert {("log-altered", logs[1]), ("log-missing", logs[4]), ("digest-malformed", digests[2])} <= accused
    assert json.loads((case / "report.json").read_text())["exit_code"] == 1
    changes = (case / "changes.txt").read_text()
    assert logs[1].rpartition("/")[2][:40] in changes.replace("\n", "").replace(" ", "")
    assert "removed" in changes
    assert "as it was proven" in (case / "verified.txt").read_text()
    recovered = json.loads((case / "recovered.json").read_text())
    assert (recovered["exit_code"], findings(case / "recovered.json")) == (0, set())
    assert "IsLogging" in json.loads((case / "trail-status.json").read_text())
    shell("/bin/sh", "-c", f"cd {shlex.quote(str(case))} && sha256sum --check --quiet SHA256SUMS").check_returncode()


@linux
def test_runbook_does_not_clear_what_has_no_genuine_version(aws: AwsServer, tmp_path: Path) -> None:
    simulation = deliver(aws)  # no versioning: what is deleted is gone
    lost, model = keys_below(aws, "CloudTrail")[3:5]
    planted = re.sub(r"_[A-Za-z0-9]{16}\.json", "_PlantedPlanted00.json", model)
    s3 = aws.client("s3")
    s3.delete_object(Bucket=BUCKET, Key=lost)
    s3.put_object(Bucket=BUCKET, Key=planted, Body=gzip.compress(b'{"Records":[]}'))

    done, case = runbook(tmp_path, simulation)

    assert done.returncode == 0, done.stderr
    expected = {("log-missing", lost), ("log-extra", planted)}
    assert findings(case / "report.json") == findings(case / "recovered.json") == expected
    assert json.loads((case / "recovered.json").read_text())["exit_code"] == 1


def library(*arguments: str) -> subprocess.CompletedProcess[str]:
    return shell(sys.executable, str(EXAMPLES / "library.py"), *arguments)


def test_library(tmp_path: Path) -> None:
    _, source, _, keys, _, start, _, end = local(tmp_path, "log-altered", "log-missing:2")
    done = library(source, keys, start, end)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("verdict: changed, ")
    assert "  log-altered: 1\n  log-missing: 2\n" in done.stdout
    assert "  123456789012 us-east-1 standard: 12 h proven, 21 logs valid\n" in done.stdout
    assert len(re.findall(r"^(?:altered: log-altered|missing: log-missing) ", done.stderr, re.MULTILINE)) == 3


def test_library_tells_wrong_requests(tmp_path: Path) -> None:
    _, source, _, keys, _, start, _, end = local(tmp_path)
    for arguments in (
        (source, keys, end, start),
        (source, str(tmp_path / "no.json"), start, end),
        (source, keys, "x", end),
    ):
        done = library(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("wrong request: ")


@pytest.mark.parametrize("prefix", ["", "logs/"])
def test_local_copies_as_the_readme_makes_them(aws: AwsServer, tmp_path: Path, prefix: str) -> None:
    simulation = deliver(aws, replace(SPEC, prefix=prefix.rstrip("/")))
    (block,) = (text for text in blocks(ROOT / "README.md", "sh") if "fetch-signatures" in text)
    sync, fetch, _, validate = block.replace("amzn-s3-demo-bucket", f"{BUCKET}/{prefix}").splitlines()
    fetch = fetch.replace(f"{BUCKET}/{prefix}", f"s3://{BUCKET}/{prefix}")
    (tmp_path / "keys.json").write_text(simulation.keys.as_json())
    times = validate.index("--last")
    validate = f"{validate[:times]} {shlex.join(window(simulation))}"
    if prefix:
        validate += f" --copy-of s3://{BUCKET}/{prefix}"

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return shell("/bin/sh", "-c", f"cd {shlex.quote(str(tmp_path))} && {line}")

    run(sync).check_returncode()
    assert run(validate).returncode == 3  # nothing proves the newest digest, which no successor names
    fetched = run(fetch)
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stderr.startswith(f"ctvalidate: {simulation.manifest.digests} signatures fetched to copy, ")
    done = run(validate)
    assert done.returncode == 0, done.stdout
