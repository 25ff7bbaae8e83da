"""Each request of a run fails once, in each way: the verdict is the undisturbed one or "could not tell", and never another.

The server is a real one that checks signatures. What is asked of CloudTrail and STS fails in `test_api_faults`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.faults import every
from tests.faults.every import WAYS, Runs, judge
from tests.faults.helpers import write
from tests.servers.proxy import FaultProxy
from tests.servers.rclone import rclone_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloudtrail_validate.simulate import TrailSpec

# A way of answering can only accuse, or hide, where it says that something is there, is not there, or is other than it was.
TELLING = [
    name
    for name in WAYS
    if name.startswith(("404", "403 with", "HTML", "XHTML", "an error", "absence", "nothing", "cut", "customer"))
]
TRAILS: dict[str, tuple[int, tuple[str, ...], int]] = {  # hours, what was done to them, the undisturbed exit code
    "intact": (3, (), 0),
    "logs": (6, ("log-altered", "log-missing"), 1),
    "extra": (4, ("log-extra",), 1),
    "digest": (4, ("digest-missing",), 1),
    "empty": (0, (), 4),
}


@pytest.fixture(scope="module")
def runs_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Runs]]:
    """Make the runs of a trail, once."""
    made: dict[str, Runs] = {}
    with rclone_s3(tmp_path_factory.mktemp("rclone")) as server, FaultProxy(server.endpoint) as proxy:

        def of(name: str) -> Runs:
            if name not in made:
                hours, tampers, _ = TRAILS[name]
                spec = dataclasses.replace(every.SMALL, bucket=f"amzn-s3-demo-{name}", hours=hours or 3)
                trail = write(server.client(), _sparse(spec), *tampers)
                if not hours:
                    for key in (*trail.digests, *trail.logs):
                        server.client().delete_object(Bucket=spec.bucket, Key=key)
                    server.client().put_object(Bucket=spec.bucket, Key="AWSLogs/readme.txt", Body=b"-")
                made[name] = Runs(trail, proxy, trail.keys_file(tmp_path_factory.mktemp(name)))
            return made[name]

        yield of


def _sparse(spec: TrailSpec) -> TrailSpec:
    return dataclasses.replace(spec, logs_per_hour=1)


@pytest.mark.parametrize("way", WAYS)
def test_an_intact_trail_is_valid_or_unproven(runs_of: Callable[[str], Runs], way: str) -> None:
    check(runs_of("intact"), "intact", way)


@pytest.mark.parametrize("way", [name for name in WAYS if name not in ("stall", "drip")])  # as slow as above
def test_altered_and_missing_logs_stay_so_or_are_unproven(runs_of: Callable[[str], Runs], way: str) -> None:
    check(runs_of("logs"), "logs", way)


@pytest.mark.parametrize("way", TELLING)
@pytest.mark.parametrize("name", ["extra", "digest", "empty"])
def test_nothing_is_hidden_and_nobody_accused(runs_of: Callable[[str], Runs], name: str, way: str) -> None:
    check(runs_of(name), name, way)


def check(runs: Runs, name: str, way: str) -> None:
    """Disturb each request of a run in one way."""
    _, tampers, code = TRAILS[name]
    assert runs.undisturbed.exit_code == code
    assert {rule for rule, _ in every.accusations(runs.undisturbed)} == set(tampers)
    number, wrong = 0, {}
    for number, report in runs.disturbed(WAYS[way]):
        if fault := judge(runs.undisturbed, report):
            wrong[number] = fault
    assert wrong == {}
    assert number >= (2 if name == "empty" else 15), "too few requests failed for this to say anything"
