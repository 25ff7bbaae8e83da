"""The same report from one process, two, a Dask cluster, and parts that were merged; and what a lost worker leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import distributed
import pytest
from click.testing import CliRunner
from rich.console import Console

from cloudtrail_validate import ConfigurationError, Report, Request, RequestError, api, run
from cloudtrail_validate.cli import group
from cloudtrail_validate.core.executor import Auto, DaskCluster, LocalProcesses, parse_executor
from cloudtrail_validate.core.model import Finding, Locator, Status
from cloudtrail_validate.core.shards import deal, parse_shard
from cloudtrail_validate.distribute import dispatch, elsewhere
from cloudtrail_validate.distribute.parts import decode, encode, merge
from cloudtrail_validate.report.build import build
from cloudtrail_validate.report.json import render
from cloudtrail_validate.report.table import render as render_table
from cloudtrail_validate.runtime.processes import PipeExecutor
from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from cloudtrail_validate.stores.local import Local
from tests.scenarios import keys

SPEC = TrailSpec(
    bucket="amzn-s3-demo-bucket",
    accounts=("111122223333", "444455556666"),
    organization_id="o-exampleorgid",
    regions=("us-east-1", "eu-west-1"),
    hours=12,
    logs_per_hour=3,
    events_per_log=1,
)
TAMPERS = ("log-missing", "log-altered", "digest-moved", "digest-missing", "log-extra", "digest-link-broken")


class Trail:
    """A trail of several accounts in a folder, and how to ask for it."""

    def __init__(self, folder: Path, made: Simulation) -> None:
        self.folder = folder
        self.made = made
        self.now = made.manifest.as_of

    def request(self, **more: Any) -> Request:
        return Request(
            self.made.manifest.start,
            self.made.manifest.end,
            source=self.folder / "trail",
            public_keys=self.folder / "keys.json",
            **more,
        )

    def ask(self, **more: Any) -> Report:
        return run(self.request(**more), now=self.now).report


@pytest.fixture(scope="module", params=["clean", "tampered"])
def trail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    folder = tmp_path_factory.mktemp(request.param)
    tampers = TAMPERS if request.param == "tampered" else ()
    made = simulate(SPEC, FolderSink(folder / "trail"), tampers, new_key=keys.source(0))
    (folder / "keys.json").write_text(made.keys.as_json())
    return Trail(folder, made)


def text_of(report: Report) -> str:
    """The report, but for when it ran."""
    document = json.loads(render(report))
    for varying in ("run", "relied_on"):
        document.pop(varying, None)
    return json.dumps(document, indent=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    make: Any = distributed.LocalCluster
    with make(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every account-region with more than five logs is cut, as if it were large."""
    monkeypatch.setattr(dispatch, "LARGE", 5)
    monkeypatch.setattr(dispatch, "REGIONS_A_CALL", 3)
    monkeypatch.setattr(dispatch, "REFERENCES_A_CALL", 8)
    monkeypatch.setattr(dispatch, "REFERENCES_AT_LEAST", 3)


def test_two_processes_say_what_one_says(trail: Trail) -> None:
    assert text_of(trail.ask(executor="local:2")) == text_of(trail.ask(executor="local:1"))


class Heard:
    """Hears of every object."""

    def __init__(self) -> None:
        self.objects: list[tuple[Locator, Status | None, bool]] = []
        self.findings: list[Finding] = []

    def finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        self.objects.append((where, status, digest))


def test_two_processes_tell_of_each_object_once_as_one_does(trail: Trail) -> None:
    told = []
    for executor in ("local:1", "local:2"):
        heard = Heard()
        run(trail.request(executor=executor), now=trail.now, listener=heard)
        assert len(heard.objects) > SPEC.hours
        told.append((sorted(map(repr, heard.objects)), sorted(map(repr, heard.findings))))
    assert told[0] == told[1]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_dask_cluster_says_what_one_process_says(trail: Trail, cluster: distributed.LocalCluster) -> None:
    alone = trail.ask(executor="local:1")
    assert text_of(trail.ask(executor=f"dask:{cluster.scheduler_address}")) == text_of(alone)


@pytest.mark.parametrize("total", [1, 2, 5])
@pytest.mark.parametrize("planned", [False, True])
def test_merged_parts_say_what_one_process_says(trail: Trail, tmp_path: Path, total: int, planned: bool) -> None:
    plan = tmp_path / "plan.jsonl"
    plan.write_bytes(api.plan(trail.request(), total, now=trail.now))
    parts = []
    for number in range(1, total + 1):
        request = trail.request(shard=f"{number}/{total}", plan=plan if planned else None)
        part = run(request, now=trail.now).part
        assert part is not None
        parts.append((f"{number}", decode(encode(part), "x")))
    outcome, first = merge(list(reversed(parts)))
    assert text_of(build(outcome, first.request, first.run)) == text_of(trail.ask(executor="local:1"))


def test_a_missing_a_doubled_and_a_foreign_part_are_named_and_never_a_pass(trail: Trail) -> None:
    parts = [run(trail.request(shard=f"{number}/3"), now=trail.now).part for number in (1, 2, 3)]
    other = run(
        Request(
            trail.made.manifest.start + timedelta(hours=1),
            trail.made.manifest.end,
            source=trail.folder / "trail",
            public_keys=trail.folder / "keys.json",
            shard="2/3",
        ),
        now=trail.now,
    ).part
    assert other is not None
    one, two, three = (part for part in parts if part is not None)
    for held, said in (
        ([one, three], "part 2/3 is missing"),
        ([one, two, two, three], "part 2/3 (2) is there twice"),
        ([one, other, three], "part 2/3 (1) is of another window"),
    ):
        outcome, first = merge([(str(index), part) for index, part in enumerate(held)])
        report = build(outcome, first.request, first.run)
        assert report.exit_code in (1, 3)
        assert any(said in finding.message for finding in report.findings), said
        printed = StringIO()
        render_table(report, Console(file=printed, width=100))
        assert said in " ".join(printed.getvalue().split())
        # What the missing part holds is unproven, and nobody says that it is not there.
        assert "chain-absent" not in {finding.rule for finding in report.findings}


class Losing(Executor):
    """An executor that loses some calls, as a worker that was killed does."""

    def __init__(self, lost: set[int]) -> None:
        self._inner = PipeExecutor(1)
        self._lost = lost
        self._number = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._number += 1
        if self._number in self._lost:
            future: Future[Any] = Future()
            future.set_exception(elsewhere_lost())
            return future
        return self._inner.submit(fn, *args, **kwargs)

    def kill(self) -> None:
        self._inner.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait, cancel_futures=cancel_futures)


def elsewhere_lost() -> Exception:
    return ConnectionError("the worker is gone")


@pytest.mark.parametrize("lost", [{1}, {2, 5, 9}, {1, 2, 3, 4}, set(range(1, 500))])
def test_what_is_lost_is_asked_for_again_and_never_silence(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    monkeypatch.setattr(elsewhere, "PipeExecutor", lambda *_: Losing(lost))
    alone, report = trail.ask(executor="local:1"), trail.ask(executor="local:2")
    if len(lost) < 10:
        assert text_of(report) == text_of(alone)
        return
    assert report.exit_code == 3
    assert {finding.rule for finding in report.findings} == {"digest-unreadable"}
    assert {(finding.account, finding.region) for finding in report.findings} == {
        (chain.account, chain.region) for chain in alone.chains
    }


def test_a_worker_that_is_killed_changes_nothing(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[elsewhere.LocalCluster] = []

    class Watched(elsewhere.LocalCluster):
        def __init__(self, workers: int, modules: Sequence[str] = ()) -> None:
            super().__init__(workers, modules)
            made.append(self)
            os.kill(self.executor.submit(os.getpid).result(timeout=60), signal.SIGKILL)

    monkeypatch.setattr(elsewhere, "LocalCluster", Watched)
    assert text_of(trail.ask(executor="local:2")) == text_of(trail.ask(executor="local:1"))
    assert made


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("auto", Auto()),
        ("local", LocalProcesses(None)),
        ("local:1", LocalProcesses(1)),
        ("local:512", LocalProcesses(512)),
        ("dask:tcp://127.0.0.1:8786", DaskCluster("tcp://127.0.0.1:8786")),
        ("dask:s.json", DaskCluster("s.json")),
    ],
)
def test_executors_are_read(text: str, place: object) -> None:
    assert parse_executor(text) == place


@pytest.mark.parametrize(
    "text", ["", "local:0", "local:10000", "local:-1", "local:x", "dask", "dask:", "ray:x", "LOCAL"]
)
def test_other_executors_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--executor: expected"):
        parse_executor(text)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1/10001", "x", "1", "/3", "-1/3"])
def test_other_shards_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="--shard: expected"):
        parse_shard(text)


def test_accounts_are_spread_over_shards() -> None:
    places = [("", f"{account:012}", region) for account in range(10) for region in ("a", "b", "c")]
    dealt = deal(places, 5)
    assert sorted(dealt.values()) == sorted(index % 5 + 1 for index in range(30))
    assert len({dealt[place] for place in places if place[2] == "a"}) == 5


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "/no/such/scheduler.json", "nonsense://x"])
def test_a_scheduler_that_nobody_answers_is_one_line(
    trail: Trail, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudtrail_validate.distribute.dask._PATIENCE", "1s")
    with pytest.raises(ConfigurationError, match=r"\A--executor: [^\n]+\Z"):
        trail.ask(executor=f"dask:{address}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(lambda data: data[:-10], "cut short"), (lambda _: b"{}\n", "no part"), (lambda _: b"", "no part")],
)
def test_a_damaged_part_is_one_line_and_exit_2(trail: Trail, tmp_path: Path, damage: Any, said: str) -> None:
    part = run(trail.request(shard="1/2"), now=trail.now).part
    assert part is not None
    (tmp_path / "1.part").write_bytes(damage(encode(part)))
    ran = CliRunner().invoke(group, ["merge", str(tmp_path / "1.part")])
    assert (ran.exit_code, said in ran.output) == (2, True), ran.output


def test_a_plan_of_another_bucket_is_refused(trail: Trail, tmp_path: Path) -> None:
    plan = api.plan(trail.request(), 2, now=trail.now).splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join(plan[:-1]))
    with pytest.raises(ConfigurationError, match="cut short"):
        run(trail.request(shard="1/2", plan=tmp_path / "cut.jsonl"), now=trail.now)
    (tmp_path / "plan.jsonl").write_bytes(b"".join(plan))
    with pytest.raises(ConfigurationError, match="does not fit"):
        run(trail.request(shard="1/3", plan=tmp_path / "plan.jsonl"), now=trail.now)


def test_a_run_that_is_refused_lets_go_of_its_store(
    trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Local] = []

    async def close(store: Local) -> None:
        closed.append(store)

    monkeypatch.setattr(Local, "close", close)
    with pytest.raises(ConfigurationError, match="cannot read"):
        run(trail.request(shard="1/2", plan=tmp_path / "absent"), now=trail.now)
    assert len(closed) == 1
