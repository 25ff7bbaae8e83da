"""What every subcommand has: examples, help by option and by name, short options, a name that is told."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cloudtrail_validate.cli import DEFAULT, LEADS, SUBCOMMANDS
from cloudtrail_validate.report import formats
from tests.cli.helpers import call
from tests.cli.known import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_three_examples_that_it_would_take(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, *name.split(), "--help").out
    examples = re.findall(r"^  +(?:source <\()?(ctvalidate .+?)\)?$", shown.partition("Examples:\n")[2], re.MULTILINE)
    purposes = re.findall(r"^  +# \S", shown, re.MULTILINE)
    assert len(examples) == len(purposes) == 3
    asked = (
        COMMANDS.values() if name == "policy" else [COMMANDS[name]]
    )  # policy is followed by another command's options
    options = {opt for command in asked for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    for example in examples:
        words = shlex.split(re.split(r" (?:>|&&|\|\|) ", example)[0])[1:]
        if name != DEFAULT:
            assert words[: len(name.split())] == name.split()
        assert {word for word in words if word.startswith("-")} <= options


def test_formats_and_endings_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("validate", "report"):
        shown = " ".join(call(capsys, name, "--help").out.split())
        assert f"--format [{'|'.join(('table', *formats.FORMATS))}]" in shown
        assert all(ending in shown for ending, _ in formats.FORMATS.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_by_name_is_help_by_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    by_name = call(capsys, "help", *name.split())
    assert by_name.code == 0
    assert by_name.out == call(capsys, *name.split(), "--help").out


def test_help_alone_is_that_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "help").out == call(capsys, "--help").out
    assert "did you mean 'validate'?" in call(capsys, "help", "valdate").line
    assert call(capsys, "help", "schema", "more").code == 2


@pytest.mark.parametrize(
    ("word", "meant"), [*LEADS.items(), ("Verify", "validate"), ("verfy", "validate"), ("snapshoot", "snapshot")]
)
def test_what_people_try_first_leads_to_the_right_command(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(capsys, word, "--last", "24h")
    assert (answer.code, answer.line) == (2, f"ctvalidate: no such command {word!r}: did you mean {meant!r}?")


def test_short_options(capsys: pytest.CaptureFixture[str], kept: str, tmp_path: Path) -> None:
    assert call(capsys, "-V").out == call(capsys, "--version").out
    quiet = call(capsys, "report", kept, "-q", "-o", str(tmp_path / "out.csv"))
    assert quiet.out.startswith("✗ CHANGED")
    assert "Coverage" not in quiet.out
    assert (tmp_path / "out.csv").exists()
    assert {"-q", "-v", "-o"} <= {opt for param in COMMANDS["validate"].params for opt in param.opts}


def test_subcommands_are_those_that_are_told() -> None:
    assert {name.split()[0] for name in COMMANDS} == set(SUBCOMMANDS)
    assert set(LEADS.values()) <= set(SUBCOMMANDS)
    assert not set(LEADS) & set(SUBCOMMANDS)
    assert json.dumps(sorted(SUBCOMMANDS))
