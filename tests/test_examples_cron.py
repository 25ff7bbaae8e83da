"""`examples/cron` is run as it stands there: silent about success alone, once at a time, evidence is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples_kit import EXAMPLES, STATE_BUCKET, hourly, linux, local, shell, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.aws import AwsServer
    from tests.servers.receiver import Receiver


def cron(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return shell(str(EXAMPLES / "cron" / "ctvalidate-cron.sh"), str(folder), *options)


@linux
@pytest.mark.parametrize(
    ("tampers", "code", "words"),
    [((), 0, ""), (("log-altered",), 1, "EVIDENCE OF CHANGE"), (("gap-tail",), 3, "not everything could be proven")],
)
def test_cron_is_silent_only_about_success(tmp_path: Path, tampers: tuple[str, ...], code: int, words: str) -> None:
    folder = tmp_path / "reports"
    done = cron(folder, *local(tmp_path, *tampers))
    assert done.returncode == code, done.stderr
    assert words in done.stdout
    assert bool(done.stdout) == bool(code)
    (line,) = (folder / "runs.log").read_text().splitlines()
    assert line.split()[1] == str(code)
    (report,) = folder.glob("*.json")
    assert json.loads(report.read_text())["exit_code"] == code


@linux
def test_cron_tells_of_a_wrong_command_and_of_no_digest(tmp_path: Path) -> None:
    wrong = cron(tmp_path / "wrong", "--trail-arn", "management-events", "--last", "26h")
    assert wrong.returncode == 2
    assert "--trail-arn: expected arn:aws:cloudtrail" in wrong.stdout
    (tmp_path / "empty").mkdir()
    keys = local(tmp_path)[3]
    empty = cron(tmp_path / "none", "--source", str(tmp_path / "empty"), "--public-keys", keys, "--last", "26h")
    assert empty.returncode in (2, 4)
    assert "exit code" in empty.stdout


@linux
def test_cron_does_not_run_twice_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with subprocess.Popen(
        ["flock", str(folder / "lock"), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin is not None
        assert held.stdout is not None
        held.stdin.write(b"locked\n")
        held.stdin.flush()
        held.stdout.readline()  # cat answers: flock has the lock
        done = cron(folder, "--last", "1h")
        held.stdin.close()
    assert (done.returncode, done.stdout) == (75, "")
    assert not (folder / "runs.log").exists()


def crontab() -> Iterator[tuple[str, str]]:
    """(name, value) of the crontab's variables, and ("", command) of its jobs."""
    for line in (EXAMPLES / "cron" / "crontab").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        variable = re.fullmatch(r"([A-Z_]+)=(.*)", line)
        if variable:
            yield variable[1], variable[2]
        else:
            fields = line.split(maxsplit=5)
            assert all(re.fullmatch(r"\*|\d{1,2}", field) for field in fields[:5]), line
            yield "", fields[5]


@linux
def test_crontab_lines_work_as_they_stand(aws: AwsServer, receiver: Receiver, tmp_path: Path) -> None:
    """The hourly window lies within the trail; the weekly one begins before its first digest, which is exit code 3."""
    simulation = hourly(aws)
    topic = aws.client("sns").create_topic(Name="cloudtrail-integrity")["TopicArn"]
    settings = tmp_path / "ctvalidate.env"
    example = (EXAMPLES / "cron" / "ctvalidate.env.example").read_text()
    example = re.sub(r"arn:aws:sns:[^ \"]+", topic, example).replace("https://hc-ping.com", receiver.url)
    settings.write_text(example)
    config = tmp_path / "config"
    config.write_text("[profile ctvalidate]\nregion = us-east-1\n")
    variables = dict(item for item in crontab() if item[0])
    variables |= {
        "TRAIL_ARN": simulation.manifest.trail_arn,
        "EXAMPLES": str(EXAMPLES),
        "CTVALIDATE": str(tool(tmp_path)),
        "CTVALIDATE_ENV": str(settings),
        "AWS_CONFIG_FILE": str(config),
        "STATE": f"s3://{STATE_BUCKET}/ctvalidate/state",
        "REPORTS": str(tmp_path / "reports"),
    }
    (tmp_path / "reports").mkdir()
    aws.calls.clear()
    every_hour, weekly = (shell("/bin/sh", "-c", job, **variables) for name, job in crontab() if not name)
    assert (every_hour.returncode, every_hour.stdout) == (0, ""), every_hour.stdout + every_hour.stderr
    assert weekly.returncode == 3, weekly.stdout + weekly.stderr
    assert "gap-late-start" in weekly.stdout
    assert [path.rpartition("/")[2] for path in receiver.paths] == ["0", "3"]  # the heartbeat tells the exit codes
    assert aws.calls["sns:Publish", "us-east-1"] == 1  # a pass is not told of


@linux
def test_cron_prunes_old_reports_and_keeps_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    times = {"20250101T004000Z": 0, "20250101T014000Z": 1, "20250101T024000Z": 3}
    (folder / "runs.log").write_text("".join(f"{time} {code} text\n" for time, code in times.items()))
    names = [f"{time}.{ending}" for time in times for ending in ("json", "txt", "log")] + [
        "notes.txt",
        "2025-audit.json",
    ]
    old = (datetime.now(UTC) - timedelta(days=91)).timestamp()
    for name in names:
        (folder / name).write_text("{}")
        os.utime(folder / name, (old, old))
    (folder / "20250101T034000Z.json").write_text("{}")  # written just now, whatever its name says
    shell(str(EXAMPLES / "cron" / "ctvalidate-cron.sh"), str(folder), *local(tmp_path)).check_returncode()
    left = {path.name for path in folder.iterdir() if path.name in names}
    assert left == {name for name in names if "T014000Z" in name} | {"notes.txt", "2025-audit.json"}
    assert (folder / "20250101T034000Z.json").exists()
