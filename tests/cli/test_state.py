"""`ctvalidate state show`: the whole state, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from cloudtrail_validate.cli import main
from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.state.codec import encode
from cloudtrail_validate.state.model import DAY, State
from cloudtrail_validate.state.storage import storage_of
from cloudtrail_validate.state.view import schema
from tests.state.test_bounds import finding
from tests.state.test_model import edge, state, stretch

from .helpers import call

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = state(stretch(DAY * 20_000, length=DAY), stretch(DAY * 20_002 + 5), edges=(edge(1),))
SIMULATE = ("--hours", "3", "--region", "us-east-1", "--logs-per-hour", "2")


def kept(folder: Path, whole: State = WHOLE) -> str:
    path = folder / "a.state"
    path.write_bytes(encode(whole))
    return str(path)


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(args))
    assert isinstance(end.value.code, int)
    return end.value.code


def validated(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Sequence[str]:
    """The options that validate a trail made for this."""
    assert run("simulate", str(folder / "trail"), *SIMULATE) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "ctvalidate --" in line)
    return [*line.replace("'", "").split()[1:], *more]


def test_a_table_tells_what_is_vouched_for_and_what_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "state", "show", kept(tmp_path))
    assert shown.code == 0
    for words in (
        "25 hours of 1 account-region",
        "111122223333  us-east-1",
        "1 open finding",
        "MISSING",
        "Signed    no",
    ):
        assert words in shown.out


def test_json_holds_all_of_it_and_keeps_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "state", "show", kept(tmp_path), "--format", "json")
    told = json.loads(shown.out)
    jsonschema.Draft202012Validator(schema()).validate(told)
    (region,) = told["regions"]
    assert [item["fingerprint"] for item in region["stretches"]] == ["00" * 32] * 2
    assert (region["hours"], region["edges"][0]["sha256"], told["open"][0]["rule"]) == (25, "aa", "log-missing")
    assert json.loads(call(capsys, "schema", "state").out) == schema()


def test_what_a_state_holds_does_nothing_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = finding(where=Locator("b", "k\x1b[31m\u202e\n[red]x"))
    for format_ in ("table", "json"):
        out = call(capsys, "state", "show", kept(tmp_path, hostile), "--format", format_).out
        assert "\x1b" not in out
        assert "\u202e" not in out


@pytest.mark.parametrize("content", [None, b"", b"ctvalidate.state/9\n", b"\x1b[31m"])
def test_no_state_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None) -> None:
    path = tmp_path / "a.state"
    if content is not None:
        path.write_bytes(content)
    shown = call(capsys, "state", "show", str(path))
    assert (shown.code, shown.out) == (2, "")
    assert "\x1b" not in shown.line


def test_it_shows_what_a_run_has_saved_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"{tmp_path}/states/"
    options = validated(tmp_path, capsys, "--state", where)
    first = call(capsys, *options)
    assert "Memory  begun now in " in first.out
    second = call(capsys, *options, "--recheck", "1/3", "--max-duration", "50m")
    assert (first.code, second.code) == (0, 0)
    assert "every log of them read within 1 day; 0 findings open" in second.out
    assert "unchanged" in second.out
    told = json.loads(call(capsys, "state", "show", where, "--format", "json").out)
    assert (told["runs"], sum(region["hours"] for region in told["regions"])) == (2, 3)


def test_a_signature_is_demanded_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.state.test_signing import key_file

    key, other = key_file(tmp_path), key_file(tmp_path, "other.pem")
    where = tmp_path / "a.state"
    options = validated(tmp_path, capsys, "--state", str(where))
    assert call(capsys, *options, "--state-sign-with", str(key)).code == 0
    signed = where.read_bytes()
    for more in ((), ("--state-sign-with", str(other))):
        refused = call(capsys, *options, *more)
        assert (refused.code, where.read_bytes() == signed) == (2, True), refused.err
    shown = call(capsys, "state", "show", str(where), "--public-key", str(key.with_suffix(".pub")))
    assert "which was checked" in shown.out
    assert call(capsys, "state", "show", str(where), "--public-key", str(other.with_suffix(".pub"))).code == 2
    assert call(capsys, *options, "--state-sign-with", str(key)).code == 0


@pytest.mark.parametrize("name", ["snapshot", "witness", "search", "export"])
def test_what_has_no_memory_offers_no_option_of_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that can only be refused, for want of `--state`, is none."""
    shown = call(capsys, name, "--help").out
    assert "--trail-arn" in shown
    for option in ("--state", "--require-state", "--recheck", "--max-duration", "--relist"):
        assert option not in shown


def test_accounts_of_a_folder_cannot_be_exchanged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"{tmp_path}/states/"
    assert call(capsys, *validated(tmp_path, capsys, "--state", where)).code == 0
    (account,) = (tmp_path / "states").glob("1*.state")
    account.write_bytes(encode(WHOLE, account.name))
    assert "is of another trail" in call(capsys, "state", "show", where).line
    account.unlink()
    assert "which is gone" in call(capsys, "state", "show", where).line
    assert storage_of(where, lambda _: None).sharded
