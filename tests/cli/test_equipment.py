"""What every subcommand has: examples, the environment, a configuration file, a log, completion, help by name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.cli import DEFAULT, LEADS, SUBCOMMANDS, configuration, debugging, group
from cloudtrail_validate.cli.completion import SHELLS
from cloudtrail_validate.cli.configuration import commands
from cloudtrail_validate.cli.equipment import equip, variables
from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.report import formats
from cloudtrail_validate.report.json import render
from tests.report import samples

from .helpers import call

ROOT: Final = click.Context(group, info_name="ctvalidate")
COMMANDS: Final = dict(commands(ROOT))
SOURCE: Final = ("--source", ".", "--start-time", "2026-01-01", "--end-time", "2026-01-02")


@pytest.fixture
def kept(tmp_path: Path) -> str:
    path = tmp_path / "report.json"
    path.write_text(render(samples.telling()), encoding="utf-8")
    return str(path)


# --- help


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


# --- environment and file


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_its_variables_and_its_key(name: str) -> None:
    for option in COMMANDS[name].params:
        if not isinstance(option, click.Option) or option.name == "help":
            continue
        long = max(option.opts, key=len)
        shared = "CTVALIDATE_" + long.removeprefix("--").upper().replace("-", "_")
        envvar = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        assert shared in envvar, long
        assert option.name in ("config", "debug") or variables(name, option)[1] == shared


def test_options_come_from_the_environment_and_the_command_line_goes_before(
    kept: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTVALIDATE_FORMAT", "csv")
    monkeypatch.setenv("CTVALIDATE_RULE", "log-missing log-extra")
    answer = call(capsys, "report", kept)
    assert {line.split(",")[0] for line in answer.out.splitlines()[1:]} == {"log-missing", "log-extra"}
    assert call(capsys, "report", kept, "--format", "table").out.startswith("✗ CHANGED")
    monkeypatch.setenv("CTVALIDATE_REPORT_FORMAT", "json")
    assert call(capsys, "report", kept).out.startswith("{")
    monkeypatch.setenv("CTVALIDATE_QUIET", "1")
    assert "Coverage" not in call(capsys, "report", kept, "--format", "table").out


def test_a_format_of_reports_is_no_error_for_a_command_that_has_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTVALIDATE_FORMAT", "sarif")
    for name, command in COMMANDS.items():  # in a process of its own the variable is there before the command is loaded
        for option in command.params:
            if (
                isinstance(option, click.Option)
                and isinstance(option.envvar, list)
                and "CTVALIDATE_FORMAT" in option.envvar
            ):
                option.envvar = None
        equip(name, command)
    answer = call(capsys, "explain", "log-extra")
    assert (answer.code, answer.err) == (0, "")
    for command in COMMANDS.values():
        for option in command.params:
            if option.name in ("format_", "output_format"):
                option.envvar = None
    monkeypatch.delenv("CTVALIDATE_FORMAT")
    for name, command in COMMANDS.items():
        equip(name, command)


def test_a_file_gives_options_and_both_others_go_before(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ctvalidate.toml"
    file.write_text('format = "csv"\nlast = "26h"\nconcurrency = 8\n[report]\nrule = ["log-missing", "log-extra"]\n')
    answer = call(capsys, "report", kept, "--config", str(file))
    assert {line.split(",")[0] for line in answer.out.splitlines()[1:]} == {"log-missing", "log-extra"}
    monkeypatch.setenv("CTVALIDATE_CONFIG", str(file))
    assert len(call(capsys, "report", kept).out.splitlines()) == 3
    monkeypatch.setenv("CTVALIDATE_RULE", "gap-tail")
    assert [line.split(",")[0] for line in call(capsys, "report", kept).out.splitlines()] == ["rule", "gap-tail"]
    assert len(call(capsys, "report", kept, "--rule", "log-altered").out.splitlines()) == 42


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('colour = "red"', "unknown key 'colour'"),
        ('fromat = "csv"', "unknown key 'fromat': did you mean 'format'?"),
        ("[report]\nlast = '1d'", "unknown key 'last' of report"),
        ("[reprot]\nrule = 'x'", "unknown table [reprot]: did you mean 'report'?"),
        ("format = 3", "format: expected text, got 3"),
        ("rule = [3]", "rule: expected text, got 3"),
        ("quiet = 'yes'", "quiet: expected true or false, got 'yes'"),
        ("config = 'x'", "unknown key 'config'"),
        ("debug = [", "expected TOML: "),
        ("\ufeffformat", "expected TOML: "),
        ('"\\u001b[31m" = 1', r"unknown key '\x1b[31m'"),
        ("a" * (configuration.MOST_BYTES + 1), "expected at most 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused_in_one_line(
    text: str, why: str, kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text, encoding="utf-8")
    answer = call(capsys, "report", kept, "--config", str(file))
    assert answer.code == 2
    assert answer.line.startswith(f"ctvalidate: --config: {file}: ")
    assert why in answer.line
    assert call(capsys, "report", kept, "--config", str(tmp_path / "absent")).line.endswith("No such file or directory")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("concurrency = 8.5", "expected a whole number, got 8.5"),
        ("concurrency = true", "expected a whole number, got True"),
        ("max-rate = 5\nconcurrency = 0", "--concurrency: expected 1 to 4096, got 0"),
        ("start-time = 2026-01-05\nend-time = 2026-01-01T00:00:00Z", "before the end of the window"),
        ("region = 'nowhere'", "--region: expected a region"),
        ("account_id = 111122223333", "account_id: expected text, got 111122223333"),
    ],
)  # fmt: skip
def test_values_of_a_file_are_typed_and_checked_like_all_others(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text, encoding="utf-8")
    window = () if "start-time" in text else ("--start-time", "2026-01-01")
    answer = call(capsys, "--source", str(tmp_path), *window, "--config", str(file))
    assert answer.code == 2
    assert problem in answer.line


def test_the_window_on_the_command_line_replaces_that_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lies in the folder: exit code 4 says that the question was understood."""
    file = tmp_path / "c.toml"
    file.write_text("last = '26h'\n")
    (tmp_path / "empty").mkdir()
    where = ("--source", str(tmp_path / "empty"), "--config", str(file), "--public-keys", str(tmp_path / "keys.json"))
    assert (
        call(capsys, "simulate", str(tmp_path / "other"), "--hours", "1", "--keys", str(tmp_path / "keys.json")).code
        == 0
    )
    assert call(capsys, *where).code == 4
    shown = call(capsys, *where, "--start-time", "2026-01-01", "--end-time", "2026-01-02")
    assert (shown.code, "2026-01-01T00:00:00Z to 2026-01-02" in shown.out) == (4, True)
    file.write_text("start-time = 2026-01-01\nend-time = 2026-01-02\n")
    assert call(capsys, *where, "--last", "24h").code == 4
    monkeypatch.setenv("CTVALIDATE_LAST", "24h")
    assert call(capsys, *where).code == 2  # file and environment together say two things, and neither goes before


@given(st.binary(max_size=80))
def test_no_bytes_of_a_file_bring_anything_but_a_refusal(data: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.toml"
        path.write_bytes(data)
        context = click.Context(COMMANDS["report"], info_name="report", parent=ROOT)
        option = next(param for param in COMMANDS["report"].params if param.name == "config")
        try:
            configuration.load(context, option, str(path))
        except click.UsageError as error:
            message = error.format_message()
        else:
            message = ""
        assert message.isprintable()
        assert (context.default_map or {}).keys() <= {param.name for param in COMMANDS["report"].params}


# --- log


SECRETS: Final = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLETOKEN",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "CTVALIDATE_WEBHOOK_SECRET": "hush-hush-hush",
    "CTVALIDATE_HEARTBEAT": "https://beat.example/ping/0a1b2c3d4e",
    "HTTPS_PROXY": "http://user:hunter2hunter2@proxy.example:3128",
}


def test_a_log_tells_what_was_done_and_no_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cloudtrail_validate", "--debug", "run.log", *SOURCE, "--external-id", "s3cr3t-id"]
    command += ["--role-arn", "arn:aws:iam::111122223333:role/x"]
    env = {**os.environ, **SECRETS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert (tmp_path / "run.log").stat().st_mode & 0o777 == 0o600
    assert "ctvalidate 0.1.0" in log
    assert "--source . --start-time 2026-01-01" in log
    assert "AWS_SECRET_ACCESS_KEY" in log  # that it is set, and nothing of what it is
    assert "exit code" in log or "ended by" in log
    assert done.returncode in (2, 3)
    for secret in (*SECRETS.values(), "s3cr3t-id", "hunter2hunter2"):
        assert secret not in log


def test_the_log_names_objects_and_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "demo", "--keep", "demo", "--debug").code == 0
    first = (tmp_path / debugging.DEFAULT).read_text(encoding="utf-8")
    assert "exit code 0" in first
    where = ("--source", "demo/trail", "--public-keys", "demo/keys.json")
    window = ("--start-time", "2026-01-01", "--end-time", "2026-01-03")
    assert call(capsys, *where, *window, "--debug=second.log", "-q").code == 1
    log = (tmp_path / "second.log").read_text(encoding="utf-8")
    assert "found altered log-altered" in log
    assert "checked digest AWSLogs/" in log
    assert not debugging.active()


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLEX",
        "X-Amz-Security-Token: IQoJb3JpZ2lu",
        "x-amz-signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101",
        '"Password": "open sesame"',
        "https://user:pass@proxy.example/",
        "externalId=shibboleth",
    ],
)
def test_shapes_of_secrets_are_blotted_out(secret: str) -> None:
    shown = debugging.redact(f"before {secret} after")
    assert "***" in shown
    assert shown.startswith("before ")
    for part in ("AKIAIOSFODNN7EXAMPLE", "IQoJb3", "aeeed9bb", "open", "user:pass", "shibboleth", "Credential=AKID"):
        assert part not in shown


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "schema", "--debug", str(tmp_path / "no" / "run.log"))
    assert answer.code == 2
    assert "--debug: cannot write" in answer.line


# --- completion


def completed(*words: str, incomplete: str = "", env: dict[str, str] | None = None) -> list[str]:
    """What bash would be offered, from a process of its own."""
    line = " ".join(["ctvalidate", *map(shlex.quote, words), incomplete]).rstrip() + ("" if incomplete else " ")
    asked = {"_CTVALIDATE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) + 1)}
    command = [sys.executable, "-m", "cloudtrail_validate"]
    done = subprocess.run(
        command, env={**os.environ, **asked, **(env or {})}, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


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
        asked = {"_CTVALIDATE_COMPLETE": "powershell_complete", "COMP_WORDS": line, "COMP_CWORD": word}
        command = [sys.executable, "-m", "cloudtrail_validate"]
        done = subprocess.run(
            command, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.splitlines()

    assert ask("ctvalidate --format js", "js") == ["json", "jsonl"]
    assert ask("ctvalidate report x.json --rule log-extr", "log-extr") == ["log-extra\tLog file that no digest knows"]
    assert "snapshot\tValidate, and keep what was validated." in ask("ctvalidate ", "")


def test_an_instruction_of_no_shell_is_answered_without_a_traceback() -> None:
    command = [sys.executable, "-m", "cloudtrail_validate"]
    env = {**os.environ, "_CTVALIDATE_COMPLETE": "tcsh_source"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


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


def test_subcommands_are_those_that_are_told() -> None:
    assert {name.split()[0] for name in COMMANDS} == set(SUBCOMMANDS)
    assert set(LEADS.values()) <= set(SUBCOMMANDS)
    assert not set(LEADS) & set(SUBCOMMANDS)
    assert json.dumps(sorted(SUBCOMMANDS))
