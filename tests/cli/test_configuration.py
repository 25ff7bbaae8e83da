"""Options come from the environment and from a file: typed, checked, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtrail_validate.cli import configuration
from cloudtrail_validate.cli.equipment import equip, variables
from tests.cli.helpers import call
from tests.cli.known import COMMANDS, ROOT


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


def equip_anew() -> None:
    """Have the options that choose a format take their variables from the environment as it is now."""
    for name, command in COMMANDS.items():
        for option in command.params:
            if option.name in ("format_", "output_format"):
                option.envvar = None
        equip(name, command)


def test_a_format_of_reports_is_no_error_for_a_command_that_has_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTVALIDATE_FORMAT", "sarif")
    equip_anew()  # in a process of its own the variable is there before the command is loaded
    answer = call(capsys, "explain", "log-extra")
    assert (answer.code, answer.err) == (0, "")
    monkeypatch.delenv("CTVALIDATE_FORMAT")
    equip_anew()


def written(folder: Path, text: str) -> Path:
    """A configuration file with this text."""
    file = folder / "c.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_gives_options_and_both_others_go_before(
    kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = 'format = "csv"\nlast = "26h"\nconcurrency = 8\n[report]\nrule = ["log-missing", "log-extra"]\n'
    file = written(tmp_path, told)
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
    file = written(tmp_path, text)
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
    file = written(tmp_path, text)
    window = () if "start-time" in text else ("--start-time", "2026-01-01")
    answer = call(capsys, "--source", str(tmp_path), *window, "--config", str(file))
    assert answer.code == 2
    assert problem in answer.line


def test_the_window_on_the_command_line_replaces_that_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lies in the folder: exit code 4 says that the question was understood."""
    file = written(tmp_path, "last = '26h'\n")
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
