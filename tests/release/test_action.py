"""The action's steps, executed as a runner would: files for outputs, path and summary, inputs as variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate
from tests.simulate.helpers import same_keys

ROOT: Final = Path(__file__).resolve().parents[2]
ACTION: Final = yaml.safe_load((ROOT / "action.yml").read_text())
RELEASE: Final = "CTVALIDATE_RELEASE"  # set by .ci/run: where release/build.sh put its files; tests may install
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="a runner has bash")


@dataclass(frozen=True)
class Step:
    """What a step left behind."""

    code: int
    said: str
    outputs: dict[str, str]
    summary: str
    path: list[str]


@dataclass(frozen=True)
class Runner:
    """A runner's folders."""

    folder: Path

    def step(self, number: int, **inputs: str) -> Step:
        """Execute a step of the action with inputs, those that are not given as their defaults."""
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        step = ACTION["runs"]["steps"][number]
        env = {name: value for name, value in os.environ.items() if not name.startswith("CTVALIDATE_")}
        env |= {name: str(path) for name, path in files.items()}
        env |= {"RUNNER_TEMP": str(self.folder), "GITHUB_ACTION_PATH": str(ROOT), "COLUMNS": "100"}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env |= {name: self.value(expression, inputs) for name, expression in step["env"].items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            command, cwd=self.folder, env=env, text=True, capture_output=True, timeout=300, check=False
        )
        outputs = dict(line.partition("=")[::2] for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        summary, path = files["GITHUB_STEP_SUMMARY"].read_text(), files["GITHUB_PATH"].read_text().split()
        return Step(done.returncode, done.stdout + done.stderr, outputs, summary, path)

    def value(self, expression: str, inputs: dict[str, str]) -> str:
        (name,) = re.findall(r"\A\$\{\{ inputs\.([a-z0-9-]+) \}\}\Z", expression)
        given = inputs.get(name.replace("-", "_"))
        return given if given is not None else str(ACTION["inputs"][name].get("default", ""))


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def trail(folder: Path, *tampers: str) -> dict[str, Any]:
    """A trail in the runner's folder, and the inputs that validate it."""
    simulation = simulate(
        TrailSpec(hours=8, logs_per_hour=2, regions=("us-east-1", "eu-west-1")),
        FolderSink(folder / "my copy"),
        tampers,
        new_key=same_keys(),
    )
    (folder / "keys.json").write_text(simulation.keys.as_json())
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (simulation.manifest.start, simulation.manifest.end))
    return {"source": "my copy", "public_keys": "keys.json", "start_time": start, "end_time": end}


def test_a_trail_that_is_whole_passes(runner: Runner) -> None:
    done = runner.step(1, **trail(runner.folder))
    assert done.code == 0, done.said
    assert done.outputs == {
        "exit-code": "0",
        "verdict": "valid",
        "report": "ctvalidate-reports/report.json",
        "html": "ctvalidate-reports/report.html",
        "sarif": "ctvalidate-reports/report.sarif",
    }
    assert json.loads((runner.folder / done.outputs["report"]).read_text())["verdict"] == "valid"
    assert done.summary.startswith("## CloudTrail logs: valid\n\nExit code 0: ")


@pytest.mark.parametrize(
    ("tamper", "code", "fails"),
    [
        ("log-altered", 1, {"problem": True, "change": True, "never": False}),
        ("log-undigested", 3, {"problem": True, "change": False, "never": False}),
    ],
)
def test_fails_as_asked(runner: Runner, tamper: str, code: int, fails: dict[str, bool]) -> None:
    inputs = trail(runner.folder, tamper)
    for when, failing in fails.items():
        done = runner.step(1, **inputs, fail_on=when)
        assert (done.code, done.outputs["exit-code"]) == (code if failing else 0, str(code))
        assert ("::error title=ctvalidate::exit code" in done.said) == failing
        assert f"Exit code {code}: " in done.summary


def test_a_wrong_command_line_always_fails_and_shows_no_earlier_report(runner: Runner) -> None:
    inputs = trail(runner.folder)
    assert runner.step(1, **inputs).code == 0
    done = runner.step(1, **(inputs | {"start_time": "yesterday"}), fail_on="never")
    assert (done.code, done.outputs) == (2, {"exit-code": "2"})
    assert "not validated" in done.summary
    assert runner.step(1, **inputs, fail_on="sometimes").code == 2


def test_inputs_are_words_and_never_commands(runner: Runner) -> None:
    inputs = trail(runner.folder)
    hostile = "$(touch owned); `touch owned` && touch owned #"
    for name in ("source", "last", "state", "role_arn", "arguments", "region", "account_id", "tolerate"):
        done = runner.step(1, **(inputs | {name: hostile}))
        assert done.code in (2, 4) or name == "state", (name, done.said)  # a state may have any file's name
    assert (runner.folder / hostile).is_file()
    assert runner.step(1, **inputs, reports=f"out {hostile}").code == 0
    assert not list(runner.folder.rglob("owned"))
    assert runner.step(1, **(inputs | {"source": "--help"})).code == 2


def test_lists_and_further_options_arrive(runner: Runner) -> None:
    inputs = trail(runner.folder)
    done = runner.step(
        1, **inputs, region="us-east-1  af-south-1", account_id="111122223333",
        tolerate="gap-tail\nchain-absent", arguments="--expect=111122223333/af-south-1\r\n\n--verbose",
    )  # fmt: skip
    assert done.code == 0, done.said
    told = json.loads((runner.folder / done.outputs["report"]).read_text())
    assert (told["request"]["regions"], told["request"]["accounts"]) == (["us-east-1", "af-south-1"], ["111122223333"])
    assert "chain-absent" in str(told["findings"])
    assert "\tvalid\n" in done.said


@pytest.mark.skipif(not os.environ.get(RELEASE), reason="installs from a package index: .ci/run does it")
def test_installs_what_is_pinned_and_nothing_else(runner: Runner) -> None:
    done = runner.step(0)
    assert done.code == 0, done.said
    assert "ctvalidate, version " in done.said
    (folder,) = done.path
    assert (Path(folder) / "ctvalidate").exists()
    assert Path(folder).is_relative_to(runner.folder)
