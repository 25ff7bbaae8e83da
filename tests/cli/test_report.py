"""`ctvalidate report` and `compare`: kept reports as arguments, files of any kind as arguments."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cloudtrail_validate.cli import reports as reading
from cloudtrail_validate.cli.writing import numbered
from cloudtrail_validate.core import rules
from cloudtrail_validate.report import Report, formats, from_json
from cloudtrail_validate.report.asff import MOST
from cloudtrail_validate.report.json import render
from tests.report import samples
from tests.report.samples import chain, finding, log_key, report

from .helpers import call


def keep(path: Path, sample: Report) -> str:
    path.write_text(render(sample), encoding="utf-8")
    return str(path)


@pytest.fixture
def telling(tmp_path: Path) -> str:
    return keep(tmp_path / "report.json", samples.telling())


@pytest.mark.parametrize("format_", [*formats.FORMATS, "table"])
def test_a_kept_report_is_shown_in_every_format_with_its_own_exit_code(
    telling: str, format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(capsys, "report", telling, "--format", format_)
    assert answer.code == 1
    assert answer.err == ""
    sample = from_json(Path(telling).read_bytes())
    if format_ == "table":
        assert answer.out.startswith("✗ CHANGED")
        assert f"ctvalidate report {telling} --show all" in answer.out
    else:
        assert answer.out == formats.renderer(format_)(sample)


def test_546_more_cost_no_other_run(telling: str, capsys: pytest.CaptureFixture[str]) -> None:
    few = call(capsys, "report", telling).out
    every = call(capsys, "report", telling, "--show", "all").out
    assert "… and 37 more: " in few
    assert " more: " not in every
    sample = from_json(Path(telling).read_bytes())
    assert all(one.key in every for one in sample.findings if one.key)
    assert call(capsys, "report", telling, "--show", "none").code == 2


def test_it_is_narrowed_and_names_that_nothing_bears_are_refused(
    telling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "part.json"
    options = ("--rule", "log-altered", "--region", "us-east-1", "--since", "2026-03-05")
    assert call(capsys, "report", telling, *options, "-o", str(out), "-q").code == 1
    part = from_json(out.read_bytes())
    assert {one.rule for one in part.findings} == {"log-altered"}
    assert 0 < len(part.findings) < 40
    for option, name, near in (
        ("--rule", "log-alterd", "did you mean 'log-altered'?"),
        ("--account", "999999999999", "nothing in the report is of it"),
        ("--region", "us-east-9", "did you mean 'us-east-1'?"),
    ):
        answer = call(capsys, "report", telling, option, name)
        assert answer.code == 2
        assert near in answer.err
        assert answer.err.count("\n") == 1
    assert call(capsys, "report", telling, "--since", "yesterday").code == 2


def test_several_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet, telling = keep(tmp_path / "a.json", samples.quiet()), keep(tmp_path / "b.json", samples.telling())
    answer = call(capsys, "report", quiet, telling, "--format", "json")
    assert answer.code == 1
    whole = json.loads(answer.out)
    assert [one["verdict"] for one in whole["derived"]["reports"]] == ["valid", "changed"]
    assert "2 reports, finished" in call(capsys, "report", quiet, telling).out


def test_it_comes_from_standard_input(
    telling: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(telling).read_bytes())))
    answer = call(capsys, "report", "-", "--format", "csv")
    assert answer.code == 1
    assert answer.out.startswith("rule,status")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Input data was truncated"),
        (b"\x1b[31m{", "JSON is malformed"),
        (b'{"schema": "ctvalidate.snapshot/1"}', "got ctvalidate.snapshot/1"),
        (render(samples.quiet()).replace('"exit_code": 0', '"exit_code": 1').encode(), "it contradicts itself"),
    ],
)
@pytest.mark.parametrize("command", ["report", "compare"])
def test_whatever_is_no_report_is_refused_in_one_line(
    content: bytes, why: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "odd\x1b[31m.json"
    file.write_bytes(content)
    answer = call(capsys, command, *([str(file)] * (2 if command == "compare" else 1)))
    assert (answer.code, answer.out) == (2, "")
    assert why in answer.err
    assert answer.err.count("\n") == 1
    assert "\x1b" not in answer.err


def test_a_folder_an_absent_file_and_a_flood_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Is a directory" in call(capsys, "report", str(tmp_path)).err
    assert "No such file" in call(capsys, "report", str(tmp_path / "absent.json")).err
    monkeypatch.setattr(reading, "MOST_BYTES", 1 << 20)
    answer = call(capsys, "report", "/dev/zero")
    assert (answer.code, answer.err) == (2, "ctvalidate: /dev/zero: expected a report of at most 1 MiB\n")


def test_where_no_room_is_left_nobody_is_told_of_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = keep(tmp_path / "a.json", samples.quiet())
    assert call(capsys, "report", quiet, "-o", str(tmp_path / "b.html")).code == 0
    folder = tmp_path / "locked.json"
    folder.mkdir()
    assert call(capsys, "report", quiet, "-o", str(folder)).code == 2


def test_doctor_stands_beside_it_in_html_alone(
    telling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "doctor.json"
    found.write_text(json.dumps(samples.examination()), encoding="utf-8")
    out = tmp_path / "page.html"
    assert call(capsys, "report", telling, "--doctor", str(found), "-o", str(out)).code == 1
    assert "Would tampering be noticed" in out.read_text(encoding="utf-8")
    assert "Would tampering" in call(capsys, "report", telling, "--doctor", str(found), "--format", "html").out
    alone = call(capsys, "report", telling, "--doctor", str(found))
    assert (alone.code, "expected --format html" in alone.line) == (2, True)
    bad = call(capsys, "report", telling, "--doctor", telling, "--format", "html")
    assert (bad.code, "expected what ctvalidate doctor --format json writes" in bad.line) == (2, True)


# --- comparing


def test_compare_says_what_appeared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = keep(tmp_path / "old.json", report([chain()], []))
    new = keep(tmp_path / "new.json", report([chain()], [finding(rules.LOG_MISSING, log_key(5), hours=(5, 6))]))
    answer = call(capsys, "compare", old, new)
    assert answer.code == 1
    assert answer.out.startswith("CHANGED  Evidence of change appeared (exit code 1).")
    back = call(capsys, "compare", new, old, "--format", "json")
    assert back.code == 0
    told = json.loads(back.out)
    assert (told["schema"], told["answer"], told["exit_code"]) == ("ctvalidate.compare/1", "better", 0)
    assert [one["rule"] for one in told["healed"]] == ["log-missing"]
    assert call(capsys, "compare", "-", "-").code == 2


def test_compare_refuses_other_trails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = samples.quiet()
    other = replace(sample.request, trail_arn="arn:aws:cloudtrail:us-east-1:111122223333:trail/other")
    paths = keep(tmp_path / "a.json", sample), keep(tmp_path / "b.json", replace(sample, request=other))
    answer = call(capsys, "compare", *paths)
    assert answer.code == 2
    assert "different trails" in answer.err


# --- files of which readers take only so much


def test_asff_becomes_files_of_at_most_a_hundred_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [finding(rules.LOG_MISSING, log_key(5, n), hours=(5, 6)) for n in range(2 * MOST + 1)]
    many = keep(tmp_path / "many.json", report([chain()], found))
    out = tmp_path / "x.asff.json"
    assert call(capsys, "report", many, "-o", str(out)).code == 1
    parts = [out, numbered(out, 2), numbered(out, 3)]
    assert [path.name for path in parts] == ["x.asff.json", "x-2.asff.json", "x-3.asff.json"]
    held: list[list[dict[str, Any]]] = [json.loads(path.read_bytes()) for path in parts]
    assert [len(part) for part in held] == [MOST, MOST, 1]
    assert len({one["Id"] for part in held for one in part}) == 2 * MOST + 1
    (tmp_path / "x-4.asff.json").write_text("[]")  # of an earlier, longer report
    (tmp_path / "x-final.asff.json").write_text("[]")  # somebody's own
    few = keep(tmp_path / "few.json", report([chain()], found[:3]))
    assert call(capsys, "report", few, "-o", str(out)).code == 1
    assert sorted(path.name for path in tmp_path.glob("x*")) == ["x-final.asff.json", "x.asff.json"]
    assert len(json.loads(out.read_bytes())) == 3
    whole = json.loads(call(capsys, "report", many, "--format", "asff").out)
    assert len(whole) == 2 * MOST + 1


def test_a_report_that_could_not_be_written_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = keep(tmp_path / "a.json", samples.quiet())

    def refuse(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("cloudtrail_validate.cli.writing.write_whole", refuse)
    answer = call(capsys, "report", quiet, "-o", str(tmp_path / "b.csv"))
    assert answer.code == 3
    assert "cannot write" in answer.err
