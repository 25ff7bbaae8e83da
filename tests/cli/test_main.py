"""The command as a whole: help, version, slips, and bad input, which is answered before any request is sent."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.cli import SUBCOMMANDS
from tests.cli.helpers import call, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.aws import AwsServer

ARN = "arn:aws:cloudtrail:us-east-1:123456789012:trail/management-events"
WINDOW = ["--start-time", "2026-03-07", "--end-time", "2026-03-08"]
BUCKET = ["--s3-bucket", "amzn-s3-demo-bucket"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command_and_every_option(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    answer = call(capsys, flag)
    assert (answer.code, answer.err) == (0, "")
    for word in (*SUBCOMMANDS, "--trail-arn", "--source", "--tolerate", "--format", "Exit codes"):
        assert word in answer.out


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    answer = call(capsys, name, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: ctvalidate {name}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "--version")
    assert (answer.code, answer.out) == (0, f"ctvalidate, version {version('ctvalidate')}\n")


@pytest.mark.parametrize(
    ("slip", "meant"), [("valdate", "validate"), ("explian", "explain"), ("key", "keys"), ("simulat", "simulate")]
)
def test_a_slip_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str], slip: str, meant: str) -> None:
    answer = call(capsys, slip)
    assert answer.code == 2
    assert f"no such command {slip!r}: did you mean {meant!r}?" in answer.line


ARN = "arn:aws:cloudtrail:us-east-1:123456789012:trail/management-events"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        (ARN, f"--trail-arn {ARN}"),
        ("s3://amzn-s3-demo-bucket", "--s3-bucket s3://amzn-s3-demo-bucket"),
        ("arn:aws:s3:::amzn-s3-demo-bucket", "--s3-bucket arn:aws:s3:::amzn-s3-demo-bucket"),
        ("./", "--source ./"),
    ],
)
def test_what_lacks_its_option_is_answered_with_it(capsys: pytest.CaptureFixture[str], word: str, meant: str) -> None:
    answer = call(capsys, word, "--last", "24h")
    assert (answer.code, answer.line) == (2, f"ctvalidate: no such command {word!r}: did you mean {meant}?")


@pytest.mark.parametrize(
    ("option", "value", "meant"),
    [
        ("--format", "text", "did you mean table?"),
        ("--format", "XML", "did you mean junit?"),
        ("--output", "-", "standard output is written by --format"),
        ("--output", "json", "did you mean --format json?"),
    ],
)
def test_formats_as_they_are_called_elsewhere(
    capsys: pytest.CaptureFixture[str], option: str, value: str, meant: str
) -> None:
    answer = call(capsys, "--s3-bucket", "amzn-s3-demo-bucket", "--last", "24h", option, value)
    assert (answer.code, answer.line.endswith(meant)) == (2, True), answer


def test_what_is_near_nothing_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "\x1b[31mqqqq")
    assert answer.code == 2
    assert all(name in answer.line for name in SUBCOMMANDS)
    assert "\x1b" not in answer.err


@pytest.mark.parametrize("flag", ["--star-time", "--trial-arn", "--s3-bukket"])
def test_a_mistyped_option(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    answer = call(capsys, flag, "x")
    assert answer.code == 2
    assert flag in answer.line
    assert "Did you mean" in answer.line or "Possible options" in answer.line


TIMES = ["01/03/2026", "10am", "yesterday", "now", "2026", "2026-3-7", "2026-02-30", "2026-03-07T25:00Z", "1999-01-01"]
TIMES += [
    "9999-12-31",
    "20260307T",
    "2026-03-07 10:00:00 PM",
    "2026-03-07T10:00:00+99:00",
    "",
    "2026-03\n-07",
    "٢٠٢٦-٠٣-٠٧",
]
SPANS = ["24", "h", "0h", "-1h", "7M", "1h2h", "1y", "1.5d", "", "999999w", "٣d"]
ARNS = [
    "",
    "management-events",
    "arn:aws:s3:::bucket",
    ARN.replace("123456789012", "1234"),
    ARN.replace(":trail/", ":"),
]
ARNS += [ARN + "/x", ARN.replace("us-east-1", "us_east_1"), ARN.replace("management-events", "ab")]
ARNS += ["arn:aws:cloudtrail:us-east-1:123456789012:eventdatastore/1234abcd-12ab-34cd-56ef-1234567890ab"]
REGIONS = ["", "useast1", "us-east-1a", "us-east-1;eu-west-1", "*", "all"]
ACCOUNTS = ["", "12345678901", "1234567890123", "11112222333x", "111-122-223-333", "１２３４５６７８９０１２"]
ROLES = ["auditor", "arn:aws:iam::1234:role/auditor", "arn:aws:iam::123456789012:user/auditor"]
ROLES += ["arn:aws:sts::123456789012:assumed-role/auditor/me"]
RULES = [
    "log-altered",
    "log-missing",
    "log-extra",
    "digest-missing",
    "log-pending",
    "no-such-rule",
    "",
    "LOG-UNREADABLE",
]

BAD: list[tuple[str, list[str]]] = [
    *(("--start-time", [*BUCKET, "--start-time", text]) for text in TIMES),
    *(("--end-time", [*BUCKET, "--start-time", "2026-03-01", "--end-time", text]) for text in TIMES),
    *(("--last", [*BUCKET, "--last", text]) for text in SPANS),
    *(("--trail-arn", [*WINDOW, "--trail-arn", text]) for text in ARNS),
    *(("--region", [*WINDOW, *BUCKET, "--region", text]) for text in REGIONS),
    *(("--account-id", [*WINDOW, *BUCKET, "--account-id", text]) for text in ACCOUNTS),
    *(("--s3-bucket", [*WINDOW, "--s3-bucket", text]) for text in ("", "a", "s3://", "bucket/AWSLogs/1", "b\x00c")),
    ("--also-bucket", [*WINDOW, *BUCKET, "--also-bucket", "no bucket"]),
    *(("--role-arn", [*WINDOW, *BUCKET, "--role-arn", text]) for text in ROLES),
    *(("--tolerate", [*WINDOW, *BUCKET, "--tolerate", text]) for text in RULES),
    *(("--format", [*WINDOW, *BUCKET, "--format", text]) for text in ("yaml", "", "JSO", "pdf")),
    *(("--output", [*WINDOW, *BUCKET, "--output", text]) for text in ("report", "report.txt", "no/such/folder/r.json")),
    *(("--concurrency", [*WINDOW, *BUCKET, "--concurrency", text]) for text in ("0", "-1", "many", "1000000")),
    *(("--max-rate", [*WINDOW, *BUCKET, "--max-rate", text]) for text in ("0", "-1", "nan", "fast")),
    ("--start-time", [*BUCKET]),
    ("--last", [*BUCKET, "--last", "24h", "--start-time", "2026-03-07"]),
    ("--last", [*BUCKET, "--last", "24h", "--end-time", "2026-03-07"]),
    ("--start-time", [*BUCKET, "--start-time", "2026-03-08", "--end-time", "2026-03-07"]),
    ("--start-time", [*BUCKET, "--start-time", "2026-03-07", "--end-time", "2026-03-07"]),
    ("--start-time", [*BUCKET, "--start-time", "8000-01-01"]),
    ("--trail-arn", [*WINDOW]),
    ("--role-arn", [*WINDOW, *BUCKET, "--external-id", "x"]),
    ("--source", [*WINDOW, "--source", "no-such-folder"]),
    ("--public-keys", [*WINDOW, *BUCKET, "--public-keys", "no-such-file.json"]),
    ("--endpoint-url", [*WINDOW, *BUCKET, "--endpoint-url", "nonsense"]),
    ("nobody", [*WINDOW, *BUCKET, "--profile", "nobody"]),
    ("extra", [*WINDOW, *BUCKET, "extra"]),
]


@pytest.mark.parametrize(
    ("named", "args"), BAD, ids=lambda value: " ".join(value[-2:])[:60] if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_no_request(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], named: str, args: list[str]
) -> None:
    # Given as a subcommand's options: an option with an empty value is still an option.
    answer = call(capsys, "validate", *args)
    assert answer.code == 2
    assert named in answer.line
    assert answer.out == ""
    assert not any(ord(char) < 32 for char in answer.line)
    assert not aws.calls


def test_files_that_are_not_what_they_should_be(
    aws: AwsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, folder = tmp_path / "file.json", tmp_path / "folder.json"
    file.write_text("{}")
    folder.mkdir()
    for option, value in (
        ("--source", file),
        ("--public-keys", folder),
        ("--public-keys", file),
        ("--output", folder),
        ("--output", file / "report.json"),
    ):
        answer = call(capsys, *WINDOW, *BUCKET, option, str(value))
        assert answer.code == 2
        assert option in answer.line
    assert not aws.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.json", "folder.json"]


def test_the_module_is_the_command() -> None:
    answer = spawn("--last", "soon")
    assert (answer.code, answer.out) == (2, "")
    assert answer.line.startswith("ctvalidate: ")
