"""README.md and its neighbours say what is so: commands, help, rules, exit codes, output, links.

`python tests/test_readme.py` writes the present `--help` into the README.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from cloudtrail_validate import ExitCode
from cloudtrail_validate.cli import SUBCOMMANDS
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import formats

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"
DOCUMENTS: Final = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/*.md")}
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HASH = re.compile("[0-9a-f]{64}")
_MARKED = r"<!-- {} -->\n```\w+\n(.*?)```\n"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def marked(name: str) -> str:
    """The README's block behind a marker."""
    (block,) = re.findall(_MARKED.format(name), text_of(README), re.DOTALL)
    return str(block)


def tool(*arguments: str, cwd: Path | None = None, width: int = 100) -> subprocess.CompletedProcess[str]:
    """Run the tool as a user would, on a page of known width, without colour."""
    env = {**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "cloudtrail_validate", *arguments]
    return subprocess.run(command, env=env, cwd=cwd, text=True, capture_output=True, timeout=120, check=False)


def on_terminal(*arguments: str, width: int) -> str:
    """What the tool prints on a terminal of known width, without colour."""
    ours, its = os.openpty()
    env = {**os.environ, "COLUMNS": str(width), "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "cloudtrail_validate", *arguments]
    with subprocess.Popen(command, env=env, stdout=its, stderr=subprocess.DEVNULL) as process:
        os.close(its)
        out = b""
        with contextlib.suppress(OSError):  # the other side was closed
            while piece := os.read(ours, 1 << 16):
                out += piece
        os.close(ours)
    assert process.returncode in (0, 1)
    return out.decode("utf-8").replace("\r\n", "\n")


def real_help() -> str:
    """`--help` as the README shows it."""
    return tool("--help").stdout


def prose(path: Path) -> str:
    """A document without its code blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _FENCE.sub("", text_of(path)), flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_help_is_the_real_one() -> None:
    assert marked("help") == real_help(), "python tests/test_readme.py writes the present one"


def test_first_screen_tries_it_puts_it_on_the_path_and_tests_it() -> None:
    first_screen = text_of(README).partition("\n## ")[0]
    assert re.findall(r"^<!-- (\w+) -->\n```sh$", first_screen, re.MULTILINE) == ["try", "install", "test"]
    assert marked("install") == "pipx install .   # or: uv tool install .\n"
    for name, end in (("try", ".venv/bin/ctvalidate demo"), ("test", ".venv/bin/python -m pytest -n auto")):
        (line,) = marked(name).splitlines()
        steps = [shlex.split(step) for step in line.split(" && ")]
        assert steps[0] == ["python3", "-m", "venv", ".venv"]
        assert steps[-1] == shlex.split(end)
        for step in steps[1:-1]:
            assert step[:2] == [".venv/bin/pip", "install"]
            for option, value in pairwise(step):
                assert option not in ("-r", "-e") or (ROOT / value).exists()


def test_pins_name_no_place_and_have_hashes() -> None:
    pins = text_of(ROOT / "constraints.txt")
    assert {"--require-hashes", "--no-deps"} <= set(shlex.split(marked("test")))
    assert not re.search(r"https?:|file:|^-", pins, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", pins):
        assert block.startswith("#") or re.search(r" --hash=sha256:[0-9a-f]{64}", block), block


MACHINES: Final = [
    {"sys_platform": sys_platform, "platform_system": system, "os_name": os_name, **python}
    for sys_platform, system, os_name in (
        ("linux", "Linux", "posix"),
        ("darwin", "Darwin", "posix"),
        ("win32", "Windows", "nt"),
    )
    for python in ({"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.4"} for minor in range(11, 15))
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m['sys_platform']}-{m['python_version']}")
def test_pins_are_one_version_each_that_the_project_accepts(machine: dict[str, str]) -> None:
    """A list with a gap, or older than pyproject.toml, fails here: its second line says how it is made anew."""
    lines = re.findall(r"^([a-z0-9-]+==[^\\\n]+?) *\\?$", text_of(ROOT / "constraints.txt"), re.MULTILINE)
    pins = [pin for pin in map(Requirement, lines) if applies(pin, machine)]
    versions = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(versions) == len(pins) > 100
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    listed = [line for line in text_of(ROOT / "constraints.in").splitlines() if not line.startswith("#")]
    wanted = [*project["dependencies"], *listed, *chain.from_iterable(project["optional-dependencies"].values())]
    for need in map(Requirement, wanted):
        if applies(need, machine):
            assert need.specifier.contains(versions[need.name], prereleases=True), need


def applies(requirement: Requirement, machine: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(machine)


def test_demo_is_quoted_from_the_real_one() -> None:
    """In parts, in order. Hashes may differ: they change with every word that the simulator puts into its events."""
    printed, quoted = (_HASH.sub("HASH", text) for text in (on_terminal("demo", width=80), marked("demo")))
    place = 0
    for part in quoted.split("  …\n"):
        found = printed.find(part.strip("\n"), place)
        assert found >= 0, f"the demo does not print, here:\n{part}"
        place = found


def test_rules_are_listed_as_they_are() -> None:
    table = text_of(README).partition("<!-- rules -->")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \| ([a-z ]+) \| (.+) \|$", table, re.MULTILINE)
    wanted = [(r.id, f"{r.status} or {r.also}" if r.also else str(r.status), r.title) for r in RULES.values()]
    assert listed == wanted


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rules_and_options_named_anywhere_exist(path: Path) -> None:
    named = set(re.findall(r"`((?:digest|log|gap|chain|lake|witness-event)-[a-z-]+)`", text_of(path)))
    if path.name != "stricter-than-aws-cli.md":  # has names of its own, which tests/test_oracle.py holds
        assert named <= set(RULES)
    known = set(re.findall(r"--[a-z][a-z0-9-]+", "".join(tool(name, "--help").stdout for name in _commands())))
    for line in re.findall(r"^(?:\.venv/bin/)?ctvalidate (.+(?:\\\n.+)*)$", text_of(path), re.MULTILINE):
        options = re.findall(r"(?:^|\s)(--[a-z][a-z0-9-]+)", line.partition(" > ")[0])
        assert set(options) <= known | {"--version"}, line


def _commands() -> list[str]:
    return [name for name in SUBCOMMANDS if name not in ("keys", "state")]


def test_exit_codes_are_those_of_the_code() -> None:
    section = text_of(README).partition("## Exit codes")[2].partition("\n## ")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert codes == [code.value for code in ExitCode]
    quoted = [re.search(rf"(?<![\d.]){code.value} \w", real_help()) for code in ExitCode]
    assert all(quoted)


def test_formats_are_listed_as_they_are() -> None:
    table = text_of(README).partition("<!-- formats -->")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([a-z]+)` \| (?:`([.a-z]+)`)? *\|", table, re.MULTILINE)
    assert listed == [(formats.TABLE, ""), *((name, ending) for name, (ending, _) in formats.FORMATS.items())]
    assert set(re.findall(r"--format ([a-z]+)", text_of(README))) <= {name for name, _ in listed}


def test_limits_and_modules_named_exist() -> None:
    text = text_of(ROOT / "SECURITY.md") + text_of(ROOT / "CONTRIBUTING.md")
    limits = re.findall(r"^\| `([a-z0-9.]+)\.(\w+)` \| ([\d,]+)?(?: (MiB|KiB))?", text, re.MULTILINE)
    assert len(limits) > 5
    for module, name, number, unit in limits:
        value = getattr(import_module(f"cloudtrail_validate.{module}"), name)
        if number:
            assert value == int(number.replace(",", "")) * {"MiB": 1 << 20, "KiB": 1 << 10, "": 1}[unit], name
    for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|[a-z_]+/)`", text):
        assert any((ROOT / place / name).exists() for place in ("", "cloudtrail_validate")), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.is_relative_to(ROOT), target
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_path_of_somebodys_computer(path: Path) -> None:
    assert str(ROOT) not in text_of(path)
    assert not re.search(r"(?<![\w.])/(?:home|root|Users|tmp|work|private)/", text_of(path))


def test_the_first_steps_work_as_written(tmp_path: Path) -> None:
    """The section about trying things out, then the library's example on what that wrote."""
    simulate, validate = re.findall(r"^ctvalidate ((?:simulate|--source) trail .+)$", text_of(README), re.MULTILINE)
    written = tool(*shlex.split(simulate), cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert shlex.split(written.stdout)[1:] == [
        {"2026-01-01": "2026-01-01T00:00:00Z", "2026-01-02": "2026-01-02T00:00:00Z"}.get(word, word)
        for word in shlex.split(validate)
    ]
    validated = tool(*shlex.split(validate), cwd=tmp_path)
    assert validated.returncode == ExitCode.CHANGED
    (code,) = re.findall(r"^```python\n(.*?)^```$", text_of(README), re.MULTILINE | re.DOTALL)
    ast.parse(code)
    script = [sys.executable, "-c", code]
    ran = subprocess.run(script, cwd=tmp_path, text=True, capture_output=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    for rule in ("log-missing", "digest-moved"):
        assert f" {rule} " in ran.stdout
        assert rule in validated.stdout


def _write_help() -> None:
    """Bring the README's help up to date."""
    text = text_of(README)
    start, end = next(match.span(1) for match in re.finditer(_MARKED.format("help"), text, re.DOTALL))
    README.write_text(text[:start] + real_help() + text[end:], encoding="utf-8")


if __name__ == "__main__":
    _write_help()
