from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from cloudtrail_validate.cli.explain import command
from cloudtrail_validate.core.rules import RULES
from tests.cli.helpers import call


def run(*args: str, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(command, args)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_every_rule_is_explained_within_the_width(rule: str, columns: int) -> None:
    result = run(rule, columns=columns)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= columns
    assert all(line == line.rstrip() for line in result.output.splitlines())
    if columns > 40:
        said = words(result.output)
        known = RULES[rule]
        for text in (known.title, f"{rule}: {known.status}", known.when, known.means, known.does_not_mean):
            assert words(text) in said
        assert all(f"{number}. {step}" in said for number, step in enumerate(known.next_steps, 1))


def test_the_weight_of_a_rule_is_told() -> None:
    assert "--tolerate refuses it" in words(run("log-altered").output)
    assert "--tolerate passes over it" in words(run("gap-tail").output)
    assert "changes no exit code" in words(run("log-pending").output)
    assert "altered or unverifiable" in words(run("digest-key-unknown").output)


def test_without_a_rule_all_are_listed_one_a_line_at_80_columns() -> None:
    result = run()
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert max(map(len, lines)) <= 80
    for rule in RULES.values():
        line = next(line for line in lines if line.startswith(f"{rule.id} "))
        assert rule.status in line
        assert rule.title in line
    assert "digest-key-unknown may also be unverifiable" in result.output


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("log-altred", "log-altered"),
        ("digest_missing", "digest-missing"),
        ("missing", "log-missing"),
        ("gap-tial", "gap-tail"),
    ],
)
def test_an_unknown_rule_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], typed: str, nearest: str
) -> None:
    answer = call(capsys, "explain", typed)
    assert (answer.code, answer.out) == (2, "")
    assert f"there is no rule '{typed}'" in answer.line
    assert nearest in answer.line


def test_a_rule_like_no_other_is_answered_with_where_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "explain", "\x1b[2J0000")
    assert (answer.code, answer.out) == (2, "")
    assert "'\\x1b[2J0000'" in answer.line
    assert "lists all rules" in answer.line


def test_case_and_spaces_around_a_rule_do_not_matter() -> None:
    assert run(" Log-Altered ").output == run("log-altered").output


def test_json_of_one_rule_and_of_all() -> None:
    one = json.loads(run("digest-key-unknown", "--format", "json").output)
    every = json.loads(run("--format", "json").output)
    assert one["id"] == "digest-key-unknown"
    assert one["status"] == "altered"
    assert one["also"] == "unverifiable"
    assert one["tolerable"] is True
    assert one["next_steps"] == list(RULES["digest-key-unknown"].next_steps)
    assert [rule["id"] for rule in every] == list(RULES)
    assert one in every
    assert set(one) == {"id", "status", "also", "tolerable", "title", "when", "means", "does_not_mean", "next_steps"}


def test_rules_are_completed_in_the_shell() -> None:
    group = click.Group("ctvalidate", commands={"explain": command})
    found = ShellComplete(group, {}, "ctvalidate", "_COMPLETE").get_completions(["explain"], "gap-")
    assert [item.value for item in found] == ["gap-broken", "gap-restart", "gap-late-start", "gap-tail"]
    assert found[0].help == RULES["gap-broken"].title


def test_explaining_loads_no_terminal_or_aws_library() -> None:
    code = (
        "import sys; from cloudtrail_validate.cli.explain import command; command(['gap-tail'], standalone_mode=False);"
        "sys.exit(bool({'rich', 'botocore', 'pycurl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
