"""Shells complete commands, options and values, and take the lines that are made for them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from cloudtrail_validate.cli.completion import SHELLS
from cloudtrail_validate.core.rules import RULES
from tests.cli.helpers import Answer, call, spawn


def instructed(instruction: str, **variables: str) -> Answer:
    """The answer to what a shell asks for completion."""
    return spawn(env={**os.environ, "_CTVALIDATE_COMPLETE": instruction, **variables})


def completed(*words: str, incomplete: str = "", env: dict[str, str] | None = None) -> list[str]:
    """What bash would be offered, from a process of its own."""
    line = " ".join(["ctvalidate", *map(shlex.quote, words), incomplete]).rstrip() + ("" if incomplete else " ")
    done = instructed("bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) + 1), **(env or {}))
    assert (done.code, done.err) == (0, "")
    return [line.partition(",")[2] for line in done.out.splitlines()]


def test_commands_options_formats_rules_regions_and_profiles_are_completed(tmp_path: Path) -> None:
    assert {"validate", "snapshot"} <= set(completed())
    assert completed(incomplete="snap") == ["snapshot"]
    assert {"--trail-arn", "--tolerate"} <= set(completed(incomplete="--t"))
    assert completed("--format", incomplete="j") == ["json", "jsonl", "junit"]
    assert completed("report", "r.json", "--rule", incomplete="log-e") == ["log-extra"]
    assert completed("--tolerate", incomplete="gap-") == [rule for rule in RULES if rule.startswith("gap-")]
    assert completed("explain", incomplete="log-ex") == ["log-extra"]
    assert completed("--region", incomplete="eu-w") == ["eu-west-1", "eu-west-2", "eu-west-3"]
    assert completed("completion", incomplete="") == list(SHELLS)
    (tmp_path / "config").write_text("[default]\n[profile audit]\nregion = x\n[sso-session s]\n[profile 'a b']\n")
    (tmp_path / "credentials").write_text("[forensics]\naws_access_key_id = x\n")
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    assert completed("--profile", env=files) == ["a b", "audit", "default", "forensics"]
    (tmp_path / "config").write_bytes(b"\xff[")
    assert completed("--profile", env=files) == ["forensics"]


def test_powershell_is_answered_as_it_asks() -> None:
    def ask(line: str, word: str) -> list[str]:
        done = instructed("powershell_complete", COMP_WORDS=line, COMP_CWORD=word)
        assert done.code == 0
        return done.out.splitlines()

    assert ask("ctvalidate --format js", "js") == ["json", "jsonl"]
    assert ask("ctvalidate report x.json --rule log-extr", "log-extr") == ["log-extra\tLog file that no digest knows"]
    assert "snapshot\tValidate, and keep what was validated." in ask("ctvalidate ", "")


def test_an_instruction_of_no_shell_is_answered_without_a_traceback() -> None:
    assert instructed("tcsh_source") == Answer(2, "", "")


@pytest.fixture
def on_path(tmp_path: Path) -> str:
    """A PATH that begins with a `ctvalidate`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ctvalidate"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cloudtrail_validate "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


BASH: Final = """
source <(ctvalidate completion bash)
COMP_WORDS=(ctvalidate --format js) COMP_CWORD=2 COMPREPLY=()
_ctvalidate_completion ctvalidate
printf '%s\\n' "${COMPREPLY[@]}"
"""

ZSH: Final = """
autoload -U compinit; compinit -u -D
source <(ctvalidate completion zsh); whence -w _ctvalidate_completion
"""


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", BASH),
        ("fish", "ctvalidate completion fish | source; complete -C 'ctvalidate --format js'"),
        ("zsh", ZSH),
    ],
)  # fmt: skip
def test_a_real_shell_takes_the_lines(shell: str, script: str, on_path: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    env = {**os.environ, "PATH": on_path, "HOME": str(tmp_path)}
    done = subprocess.run([program, "-c", script], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    expected = {"bash": ["json", "jsonl"], "fish": ["json", "jsonl"], "zsh": ["_ctvalidate_completion: function"]}
    assert done.stdout.split("\n")[:-1] == expected[shell]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lines_for_each_shell_name_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "completion", shell)
    assert answer.code == 0
    assert "ctvalidate" in answer.out
    assert f"{shell}_complete" in answer.out
