"""Exit 4 says what to try: what lies there instead of what was asked for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.hints import Around, hints
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import Target
from cloudtrail_validate.evidence import look_around
from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.cli.helpers import call
from tests.faults.helpers import BUCKET, same_keys

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtrail_validate.stores.protocol import Store
    from tests.faults.helpers import Trail
    from tests.servers.aws import AwsServer

SPEC = TrailSpec(hours=2, logs_per_hour=1, regions=("us-east-1", "eu-west-1"), start=datetime(2026, 1, 1, tzinfo=UTC))
ACCOUNT = SPEC.accounts[0]
WINDOW = ["--start-time", "2026-01-01", "--end-time", "2026-01-01T02:00"]
NOW = datetime(2026, 3, 7, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys_and_tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("hints")
    simulation = simulate(SPEC, FolderSink(folder / "tree", sidecars=True), new_key=same_keys())
    (folder / "keys.json").write_text(simulation.keys.as_json())
    return folder / "keys.json", folder / "tree"


def tried(capsys: pytest.CaptureFixture[str], keys: Path, tree: Path, *args: str) -> list[str]:
    """The lines that say what to try, of a run that found nothing."""
    answer = call(capsys, "--source", str(tree), "--public-keys", str(keys), "--format", "JSON", *args)
    assert answer.code in (3, 4)  # 3 where a chain was there before the window
    lead = "ctvalidate: nothing was found: "
    return [line.removeprefix(lead) for line in answer.err.splitlines() if line.startswith(lead)]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([*WINDOW, "--s3-prefix", "logs"], "AWSLogs/ lies at the top: drop --s3-prefix"),
        ([*WINDOW, "--account-id", "4444-5555-6666"], f"there is no account 444455556666 here; there are {ACCOUNT}"),
        (
            [*WINDOW, "--region", "me-south-1"],
            (
                "0 of the regions asked for were found; there are ap-northeast-1, ap-northeast-2, ap-northeast-3,"
                " ap-south-1, ap-southeast-1 and 12 more"
            ),
        ),
        (
            ["--start-time", "2026-02-01", "--end-time", "2026-02-02"],
            "digests there are from 2026-01-01 to 2026-01-01: choose a window in that time",
        ),
        (["--last", "30m"], "digests there are from 2026-01-01 to 2026-01-01: choose a window in that time"),
        (
            [*WINDOW, "--trail-arn", SPEC.trail_arn.replace(SPEC.trail_name, "other-trail")],
            f"digests there are of other trails: {SPEC.trail_name}",
        ),
    ],
    ids=["prefix", "account", "region", "window", "late window", "trail"],
)
def test_what_lies_there_instead(
    capsys: pytest.CaptureFixture[str], keys_and_tree: tuple[Path, Path], args: list[str], says: str
) -> None:
    assert tried(capsys, *keys_and_tree, *args)[0] == says


@pytest.mark.parametrize("prefix", ["o-exampleorgid", "logs", "größe 日本", "logs/production"])
def test_a_prefix_that_was_left_out(
    capsys: pytest.CaptureFixture[str], keys_and_tree: tuple[Path, Path], tmp_path: Path, prefix: str
) -> None:
    keys = keys_and_tree[0]
    simulate(replace(SPEC, prefix=prefix), FolderSink(tmp_path / "tree", sidecars=True), new_key=same_keys())
    (tmp_path / "tree" / "other").mkdir()
    (says,) = tried(capsys, keys, tmp_path / "tree", *WINDOW)
    assert says == f"there is {prefix}/AWSLogs/: give --s3-prefix {prefix}"
    answer = call(
        capsys, "--source", str(tmp_path / "tree"), "--public-keys", str(keys), *WINDOW, "--s3-prefix", prefix
    )
    assert answer.code in (0, 3)


def test_logs_without_digests(
    capsys: pytest.CaptureFixture[str], keys_and_tree: tuple[Path, Path], tmp_path: Path
) -> None:
    keys, tree = keys_and_tree
    place = f"AWSLogs/{ACCOUNT}/CloudTrail"
    shutil.copytree(tree / place, tmp_path / "tree" / place)
    (says,) = tried(capsys, keys, tmp_path / "tree", *WINDOW)
    assert "there are logs and no digests: log file validation is off" in says
    assert "aws cloudtrail update-trail --enable-log-file-validation" in says


def test_nothing_at_all(capsys: pytest.CaptureFixture[str], keys_and_tree: tuple[Path, Path], tmp_path: Path) -> None:
    (says,) = tried(capsys, keys_and_tree[0], tmp_path, *WINDOW)
    assert says == "there is no AWSLogs/ here, nor within two folders of the top"


def test_the_table_shows_it_once(capsys: pytest.CaptureFixture[str], keys_and_tree: tuple[Path, Path]) -> None:
    keys, tree = keys_and_tree
    answer = call(capsys, "--source", str(tree), "--public-keys", str(keys), *WINDOW, "--s3-prefix", "logs")
    assert answer.code == 4
    assert "Try     AWSLogs/ lies at the top: drop --s3-prefix" in answer.out
    assert "AWSLogs/" not in answer.err


def test_on_s3(capsys: pytest.CaptureFixture[str], aws: AwsServer, trail: Trail) -> None:
    answer = call(capsys, "--s3-bucket", f"s3://{BUCKET}/logs", *trail.times())
    assert answer.code == 4
    assert "Try     AWSLogs/ lies at the top: drop --s3-prefix" in answer.out


def test_a_listing_that_is_denied_afterwards_leaves_the_answer(
    aws: AwsServer, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What helps and is refused is no error: a region in which the trail never was has nothing, and that is the answer."""
    look = look_around.look_around

    async def look_in_vain(store: Store, target: Target) -> Around:
        aws.denied = {"s3:ListBucket"}
        return await look(store, target)

    monkeypatch.setattr(look_around, "look_around", look_in_vain)
    report = trail.run(regions=("eu-west-1",)).report
    assert aws.denied
    assert report.exit_code == 4
    assert report.suggestions


@pytest.mark.parametrize(
    ("target", "start", "around", "says"),
    [
        (Target("b", None), timedelta(minutes=30), Around(accounts=("1" * 12,), regions=("eu-west-1",)), "--last 3h"),
        (
            Target("b", None),
            timedelta(minutes=30),
            Around(accounts=("1" * 12,), days=("2026/01/01", "2026/03/07")),
            "--last 3h",
        ),
        (Target("b", None), timedelta(hours=2), Around(accounts=("1" * 12,)), None),
        (Target("b", "p"), timedelta(hours=2), Around(bases=("", "q")), "drop --s3-prefix"),
        (Target("b", "p"), timedelta(hours=2), Around(bases=("q",)), "give --s3-prefix q"),
        (Target("b", None), timedelta(hours=2), Around(bases=("\x1b[2J",)), "\\x1b[2J/AWSLogs/"),
        (
            Target("b", None, regions=("eu-west-1",)),
            timedelta(hours=2),
            Around(accounts=("1" * 12,), regions=()),
            "no region",
        ),
    ],
)
def test_sentences(target: Target, start: timedelta, around: Around, says: str | None) -> None:
    told = hints(target, Interval(NOW - start, NOW), NOW, around)
    assert (says is None) == (not told)
    assert says is None or says in told[0]
    assert all("\n" not in hint and not hint.endswith(".") for hint in told)
