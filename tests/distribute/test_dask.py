"""A Dask cluster of processes of its own, and what is left of a run when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.server import certified
from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.findings import Progress
from cloudtrail_validate.distribute import dask, dispatch
from cloudtrail_validate.distribute.dask import Guarded, SchedulerLostError
from cloudtrail_validate.report.json import render
from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from tests.cli.helpers import finish, start
from tests.scenarios import keys

SPEC: Final = TrailSpec(
    bucket="amzn-s3-demo-bucket",
    accounts=("111122223333", "444455556666"),
    organization_id="o-exampleorgid",
    regions=("us-east-1", "eu-west-1"),
    hours=6,
    logs_per_hour=3,
    events_per_log=1,
)
WORKERS: Final = 2


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.file = folder / "scheduler.json"
        told = ["--scheduler-file", str(self.file), *options]
        here = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = self._start("dask_scheduler", *told, *here, "--port", "0")
        alone = ["--nthreads", "1", "--no-nanny"]
        self.workers = [self._start("dask_worker", *told, *here, *alone) for _ in range(WORKERS)]

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self) -> None:
        """End all of them."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    import distributed

    made = Cluster(tmp_path)
    try:
        while not made.file.exists() or not made.file.read_text().endswith("}"):
            time.sleep(0.05)
        make: Any = distributed.Client
        with make(scheduler_file=str(made.file), set_as_default=False, timeout="60s") as client:
            client.wait_for_workers(WORKERS, timeout=60)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulation]:
    folder = tmp_path_factory.mktemp("trail")
    made = simulate(SPEC, FolderSink(folder / "trail"), new_key=keys.source(0))
    (folder / "keys.json").write_text(made.keys.as_json())
    return folder, made


def ask(trail: tuple[Path, Simulation], executor: str, progress: Progress | None = None) -> Report:
    folder, made = trail
    request = Request(
        made.manifest.start,
        made.manifest.end,
        source=folder / "trail",
        public_keys=folder / "keys.json",
        executor=executor,
    )
    return run(request, now=made.manifest.as_of, progress=progress).report


def killing(process: subprocess.Popen[bytes], progress: Progress) -> threading.Thread:
    """Kill a process as soon as an account-region is done."""

    def watch() -> None:
        while not progress.regions_done:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def text_of(report: Report) -> str:
    document = json.loads(render(report))
    for varying in ("run", "relied_on"):
        document.pop(varying, None)
    return json.dumps(document, indent=1)


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "REGIONS_A_CALL", 1)
    monkeypatch.setattr(dask, "_PATIENCE", "2s")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"type": "Scheduler"}', b'{"address": 5}', b"\xff\x00", b"[" * 5000])
def test_a_file_that_no_scheduler_wrote(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "scheduler.json"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is no scheduler file of Dask"):
        dask.connect(str(file))


def test_a_folder_is_no_file_of_a_scheduler(tmp_path: Path) -> None:
    folder = tmp_path / "scheduler.json"
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="there is no scheduler file"):
        dask.connect(str(folder))


def test_a_killed_worker_changes_nothing(trail: tuple[Path, Simulation], cluster: Cluster) -> None:
    progress = Progress()
    killer = killing(cluster.workers[0], progress)
    report = ask(trail, f"dask:{cluster.file}", progress)
    killer.join(timeout=60)
    assert cluster.workers[0].wait(timeout=60) == -signal.SIGKILL
    assert text_of(report) == text_of(ask(trail, "local:1"))


def test_a_killed_scheduler_leaves_what_it_had_unproven_and_named(
    trail: tuple[Path, Simulation], cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    killer = killing(cluster.scheduler, progress)
    report = ask(trail, f"dask:{cluster.file}", progress)
    killer.join(timeout=60)
    alone = ask(trail, "local:1")
    assert (report.verdict, report.exit_code) == ("unproven", 3)
    proven = {(chain.account, chain.region) for chain in report.chains if chain.digests.valid}
    lost = {(finding.account, finding.region) for finding in report.findings if finding.rule == "digest-unreadable"}
    every = {(chain.account, chain.region) for chain in alone.chains}
    assert proven
    assert lost
    assert not proven & lost
    assert every <= proven | lost
    for chain in report.chains:
        if chain.digests.valid:
            (same,) = [one for one in alone.chains if (one.account, one.region) == (chain.account, chain.region)]
            assert chain == same
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_scheduler_over_tls_is_reached_as_dasks_own_configuration_says(
    trail: tuple[Path, Simulation], tmp_path: Path
) -> None:
    folder, made = trail
    with certified() as (trusted, _):
        certificate, secret = (str(Path(trusted).with_name(name)) for name in ("certificate.pem", "key.pem"))
        options = ["--protocol", "tls", "--tls-ca-file", trusted, "--tls-cert", certificate, "--tls-key", secret]
        cluster = Cluster(tmp_path, *options)
        times = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (made.manifest.start, made.manifest.end)]
        asked = ["--source", str(folder / "trail"), "--public-keys", str(folder / "keys.json"), "--format", "json"]
        asked += ["--start-time", times[0], "--end-time", times[1], "--executor", f"dask:{cluster.file}"]
        known = {
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": trusted,
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": certificate,
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": secret,
        }
        try:
            while not cluster.file.exists() or not cluster.file.read_text().endswith("}"):
                time.sleep(0.05)
            assert "tls://" in cluster.file.read_text()
            for _ in range(60):  # until a worker is there
                ran = finish(start(*asked, env={**os.environ, **known}), timeout=120)
                if "has no workers" not in ran.err:
                    break
            assert ran.code == 0, ran.err
            assert json.loads(ran.out)["verdict"] == "valid"
            stranger = finish(start(*asked, env=dict(os.environ)), timeout=120)
            assert stranger.code == 2
            assert "--executor" in stranger.line
        finally:
            cluster.end()


class Silent(Executor):
    """An executor that never answers."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]


def test_calls_fail_when_the_client_has_given_up() -> None:
    status, inner = ["running"], Silent()
    guarded = Guarded(inner, lambda: status[0])
    waiting, answered, cancelled, given_up = (guarded.submit(abs, -1) for _ in range(4))
    inner.asked[1].set_result(1)
    assert answered.result(timeout=10) == 1
    assert cancelled.cancel()
    assert inner.asked[2].cancelled()
    inner.asked[3].cancel()
    with pytest.raises(SchedulerLostError):
        given_up.result(timeout=10)
    status[0] = "closed"
    with pytest.raises(SchedulerLostError):
        waiting.result(timeout=10)
    with pytest.raises(SchedulerLostError):
        guarded.submit(abs, -1)
    inner.asked[0].set_result(1)  # too late, and nobody minds
    with pytest.raises((CancelledError, InvalidStateError)):
        cancelled.result(timeout=0)
    guarded.shutdown(wait=False)


def test_nothing_is_left_running_though_the_scheduler_is_gone() -> None:
    class Gone(Silent):
        def shutdown(self, wait: bool = True) -> None:  # type: ignore[override]  # as Dask's own
            raise RuntimeError("client is closed")

    before = set(threading.enumerate())
    Guarded(Gone(), lambda: "closed").shutdown(wait=False, cancel_futures=True)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive()
