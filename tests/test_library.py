"""The library: typed in and out, silent, and usable from wherever Python runs."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

import cloudtrail_validate
from cloudtrail_validate import ExitCode, Progress, Report, Request, RequestError, Result, Verdict, run, validate
from cloudtrail_validate.core.model import Finding, Locator, Status
from tests.faults.helpers import BUCKET, DIGESTS, LOGS, QUICK, SPEC, Trail, deliver, rules_of
from tests.servers import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloudtrail_validate.engine.run import Engine
    from tests.servers.aws import AwsServer
    from tests.servers.proxy import FaultProxy

START = datetime(2026, 3, 7, tzinfo=UTC)


@pytest.fixture
def trail(aws: AwsServer) -> Trail:
    return deliver(aws)


class Ears:
    """Hears everything."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.objects: dict[Locator, tuple[Status | None, bool]] = {}
        self.times = 0

    def finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        self.times += 1
        self.objects[where] = status, digest


def test_every_public_name_is_there() -> None:
    for name in cloudtrail_validate.__all__:
        assert getattr(cloudtrail_validate, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        cloudtrail_validate.no_such_name  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys, cloudtrail_validate; print(sorted({'botocore', 'pycurl', 'rich', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_one_call(trail: Trail) -> None:
    report = validate(trail.request())
    assert isinstance(report, Report)
    assert (report.verdict, report.exit_code) == (Verdict.VALID, ExitCode.VALID)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_it_is_silent(trail: Trail, aws: AwsServer, capfd: pytest.CaptureFixture[str]) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key=trail.logs[1], Body=b"altered")
    logging.getLogger("cloudtrail_validate").propagate = True
    assert validate(trail.request()).exit_code == 1
    aws.denied.add("s3:ListBucket")
    with pytest.raises(cloudtrail_validate.AccessError):
        validate(trail.request())
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_listener_hears_of_every_object_once_and_of_every_finding(trail: Trail, aws: AwsServer) -> None:
    aws.client("s3").delete_object(Bucket=BUCKET, Key=trail.logs[1])
    folder = trail.logs[1].rpartition("/")[0]
    aws.client("s3").put_object(Bucket=BUCKET, Key=f"{folder}/planted.json.gz", Body=b"x")
    ears = Ears()
    result = run(trail.request(), listener=ears, now=trail.simulation.manifest.as_of, timeouts=QUICK)
    assert isinstance(result, Result)
    heard = {finding.rule for finding in ears.findings if finding.status is not Status.NOTICE}
    assert heard == set(rules_of(result.report))
    assert len(ears.findings) == len(result.report.findings)
    assert ears.times == len(ears.objects)
    assert ears.objects[Locator(BUCKET, trail.logs[1])] == (Status.MISSING, False)
    assert ears.objects[Locator(BUCKET, trail.logs[2])][0] in (None, Status.NOTICE)
    assert sum(digest for _, digest in ears.objects.values()) == DIGESTS - 1
    assert {where.key for where in ears.objects} >= {*trail.logs, *trail.digests[1:]}


def test_progress_ends_complete(trail: Trail) -> None:
    progress = Progress()
    validate(trail.request(), progress=progress)
    assert progress.listing_done
    assert progress.phase == "done"
    assert progress.objects_done == progress.objects_known >= LOGS + DIGESTS - 1
    assert progress.bytes_done == progress.bytes_known > 0
    assert (progress.findings, progress.latest) == (0, ())


def test_progress_counts_findings(trail: Trail, aws: AwsServer) -> None:
    aws.client("s3").delete_object(Bucket=BUCKET, Key=trail.logs[1])
    progress = Progress()
    validate(trail.request(), progress=progress)
    assert progress.findings == 1
    assert progress.latest == (f"log-missing {trail.logs[1]}",)
    assert progress.objects_done == progress.objects_known


@pytest.mark.parametrize(
    "request_",
    [
        Request(start=START),
        Request(start=START, bucket="not a bucket"),
        Request(start=START, trail_arn="not an arn"),
        Request(start=START, end=START, bucket=BUCKET),
        Request(start=START, bucket=BUCKET, regions=("nowhere",)),
        Request(start=START, bucket=BUCKET, tolerate=frozenset({"log-altered"})),
        Request(start=START, bucket=BUCKET, concurrency=0),
    ],
)
def test_a_request_that_cannot_be_meant_raises_before_any_request(aws: AwsServer, request_: Request) -> None:
    with pytest.raises(RequestError, match="expected"):
        validate(request_)
    assert not aws.calls


def test_naive_times_are_utc(trail: Trail) -> None:
    request = Request(start=datetime(2026, 3, 7), end=datetime(2026, 3, 7, 5), bucket=BUCKET)  # noqa: DTZ001
    assert validate(request).request.start == START


def test_a_fixed_now_is_the_end_of_the_window(trail: Trail) -> None:
    report = run(Request(start=START, bucket=BUCKET), now=START + timedelta(hours=5), timeouts=QUICK).report
    assert (report.request.end, report.exit_code) == (START + timedelta(hours=5), 0)


def test_from_a_thread_and_twice_at_once(trail: Trail) -> None:
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(validate, [trail.request(), trail.request()]))
    again = validate(trail.request())
    for report in (*reports, again):
        assert (report.exit_code, report.summary, report.chains) == (0, again.summary, again.chains)


def test_beside_an_event_loop(trail: Trail) -> None:
    ticks = 0

    async def tick(stopped: threading.Event) -> None:
        nonlocal ticks
        while not stopped.is_set():
            ticks += 1
            await asyncio.sleep(0.001)

    stopped = threading.Event()
    other = threading.Thread(target=lambda: asyncio.run(tick(stopped)))
    other.start()
    try:
        assert validate(trail.request()).exit_code == 0
    finally:
        stopped.set()
        other.join()
    assert ticks


def test_from_inside_an_event_loop_on_a_thread(trail: Trail) -> None:
    async def ask() -> Report:
        return await asyncio.to_thread(validate, trail.request())

    assert asyncio.run(ask()).exit_code == 0


def test_inside_a_running_event_loop(trail: Trail) -> None:
    """A notebook's cell, or a handler of an async service: the loop waits, and goes on afterwards."""

    async def cell() -> tuple[int, int]:
        report = validate(trail.request())
        await asyncio.sleep(0)
        with pytest.raises(cloudtrail_validate.ConfigurationError):
            validate(trail.request(bucket="amzn-s3-demo-bucket-of-nobody"))
        return report.exit_code, report.summary.logs.valid

    assert asyncio.run(cell()) == (0, LOGS)
    assert not [thread for thread in threading.enumerate() if thread.name == "ctvalidate-loop"]


def test_an_interrupted_wait_ends_the_run_beside_the_loop(
    trail: Trail, aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    proxy.fault(faults.Hang(), path=re.escape(trail.logs[0]))

    def interrupt(_: Engine) -> None:
        asyncio.get_running_loop().call_later(0.5, signal.raise_signal, signal.SIGINT)

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(trail.request(), on_start=interrupt, now=trail.simulation.manifest.as_of)

    loop = asyncio.new_event_loop()  # without the handler of SIGINT that asyncio.run sets, as in a notebook
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while any(thread.name == "ctvalidate-loop" for thread in threading.enumerate()) and datetime.now(UTC) < deadline:
        time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "ctvalidate-loop"]


def test_what_nobody_foresaw_is_a_documented_error(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudtrail_validate.aws.trail._describe", lambda *_, **__: 1 // 0)
    with pytest.raises(
        cloudtrail_validate.AccessError, match="internal error, please report it: ZeroDivisionError"
    ) as it:
        validate(trail.request(trail_arn=trail.arn))
    assert isinstance(it.value.__cause__, ZeroDivisionError)


def test_paths_may_be_strings(trail: Trail, aws: AwsServer, tmp_path: Path) -> None:
    client = aws.client("s3")
    for key in (*trail.logs, *trail.digests):
        (tmp_path / "copy" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / key).write_bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    options = {"source": str(tmp_path / "copy"), "public_keys": str(trail.keys_file(tmp_path))}
    report = run(trail.request(**options), now=trail.simulation.manifest.as_of).report
    assert report.request.source == (tmp_path / "copy").as_uri()
    assert report.summary.digests.valid > 0


def test_stopped_by_the_caller(
    trail: Trail, aws: AwsServer, fault_proxy: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    proxy.fault(faults.Hang(), path=re.escape(trail.logs[0]))
    engines: list[Engine] = []

    def start(engine: Engine) -> None:
        engines.append(engine)
        look(engine)

    def look(engine: Engine) -> None:
        """Stop once a log was read; another one hangs."""
        if progress.objects_done > 3:
            engine.stop()
        else:
            asyncio.get_running_loop().call_later(0.05, look, engine)

    progress = Progress()
    result = run(trail.request(), progress=progress, on_start=start, now=trail.simulation.manifest.as_of)
    assert result.interrupted
    assert engines
    assert (result.report.verdict, result.report.exit_code) == (Verdict.UNPROVEN, 130)
    assert result.report.interrupted is True
    assert [chain.unfinished for chain in result.report.chains] == [True]
    assert all(finding.status is Status.NOTICE for finding in result.report.findings)


def test_nothing_is_left_running(trail: Trail) -> None:
    validate(trail.request())
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("ctvalidate")}
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    while names and datetime.now(UTC) < deadline:
        names = {thread.name for thread in threading.enumerate() if thread.name.startswith("ctvalidate")}
    assert names == set()


def test_a_local_copy_needs_no_aws_where_keys_are_given(
    trail: Trail, aws: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    client = aws.client("s3")
    for key in (*trail.logs, *trail.digests):
        (copy / key).parent.mkdir(parents=True, exist_ok=True)
        (copy / key).write_bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    aws.calls.clear()
    report = run(
        trail.request(source=copy, public_keys=trail.keys_file(tmp_path)), now=trail.simulation.manifest.as_of
    ).report
    assert not aws.calls
    assert report.request.source == copy.resolve().as_uri()
    # A plain copy has lost the signatures: the newest digest has no successor to prove it.
    assert set(rules_of(report)) == {"digest-signature-missing", "gap-broken", "log-undigested"}
    assert {finding.status for finding in report.findings} <= {"unverifiable", "uncovered", "notice"}
    assert report.exit_code == 3
    # The others are proven by the signatures that their successors quote: the key that proved these is told.
    assert report.summary.digests.valid
    assert {key.source for key in report.public_keys} == {"file"}
    assert SPEC.hours == report.summary.window_seconds // 3600
