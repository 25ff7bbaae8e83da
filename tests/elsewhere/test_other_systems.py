"""Windows and macOS, as far as they can be pretended (tests/elsewhere/pretend.py): the same findings, and no traceback.

On those systems themselves the same tests run without pretending (CTVALIDATE_HOST=real).
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudtrail_validate.core.portable import folded, is_foreign
from cloudtrail_validate.simulate import FolderSink, Simulation, TrailSpec, simulate
from tests.simulate.helpers import same_keys
from tests.snapshot.helpers import BUCKET, in_moto

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

ROOT: Final = Path(__file__).resolve().parents[2]
REAL: Final = os.environ.get("CTVALIDATE_HOST") == "real"
SYSTEMS: Final = [()] if REAL else [("windows",), ("plain-loop",), ("folding",)]
SPEC: Final = TrailSpec(hours=6, logs_per_hour=2, regions=("us-east-1", "eu-west-1"))
TAMPERS: Final = (
    "log-altered@us-east-1",
    "log-missing@eu-west-1",
    "log-extra@us-east-1",
    "digest-signature-invalid@eu-west-1",
)
system = pytest.mark.parametrize("pretended", SYSTEMS, ids=lambda names: "-".join(names) or sys.platform)


def ctvalidate(
    pretended: tuple[str, ...], *arguments: str, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """The command on a system that is pretended. Its output in bytes, since encodings are part of the question."""
    command = [sys.executable, "-m", "tests.elsewhere.pretend", *pretended, "--", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "CTVALIDATE_DEBUG": "1", **variables}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=120, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done


def trail(folder: Path, *tampers: str) -> tuple[Simulation, list[str]]:
    made = simulate(SPEC, FolderSink(folder / "copy"), tampers, new_key=same_keys())
    (folder / "keys.json").write_text(made.keys.as_json())
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (made.manifest.start, made.manifest.end))
    where = [
        "--source",
        "copy",
        "--public-keys",
        "keys.json",
        "--start-time",
        start,
        "--end-time",
        end,
        "--no-progress",
    ]
    return made, where


def facts(document: bytes) -> list[tuple[str, str | None, str | None]]:
    """What is accused; a memory spares a run what is merely worth knowing."""
    found = [one for one in json.loads(document)["findings"] if one["status"] != "notice"]
    return sorted((one["rule"], one["key"], one["start"]) for one in found)


@system
def test_a_copy_is_validated_alike(tmp_path: Path, pretended: tuple[str, ...]) -> None:
    _, where = trail(tmp_path, *TAMPERS)
    plain = ctvalidate((), *where, "--format", "json", cwd=tmp_path)
    there = ctvalidate(pretended, *where, "--format", "json", cwd=tmp_path)
    assert (there.returncode, plain.returncode) == (1, 1)
    assert facts(there.stdout) == facts(plain.stdout)
    assert len(facts(there.stdout)) >= len(TAMPERS)


@system
def test_a_bucket_is_validated_alike(aws: AwsServer, tmp_path: Path, pretended: tuple[str, ...]) -> None:
    """The poller that selects, a loop that watches no descriptors, boto3, and a state with its locks."""
    world = in_moto(aws, *TAMPERS)
    options = [*world.where, *world.window, "--no-progress", "--format", "json"]
    plain = ctvalidate((), *options, cwd=tmp_path, **aws.env)
    for _ in range(2):
        there = ctvalidate(pretended, *options, "--state", "memory", "--concurrency", "512", cwd=tmp_path, **aws.env)
        assert there.returncode == 1, there.stderr
        assert facts(there.stdout) == facts(plain.stdout)


@system
def test_other_processes_do_it_alike(tmp_path: Path, pretended: tuple[str, ...]) -> None:
    """Workers are started anew and never forked."""
    _, where = trail(tmp_path, *TAMPERS)
    plain = ctvalidate((), *where, "--format", "json", cwd=tmp_path)
    there = ctvalidate(pretended, *where, "--format", "json", "--executor", "local:2", cwd=tmp_path)
    assert (there.returncode, facts(there.stdout)) == (1, facts(plain.stdout))


@system
def test_everything_that_writes_writes(tmp_path: Path, pretended: tuple[str, ...]) -> None:
    _, where = trail(tmp_path)
    done = ctvalidate(pretended, "snapshot", "--to", "kept", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = ctvalidate(pretended, "verify-snapshot", "kept", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    outputs = [f"--output=report.{ending}" for ending in ("json", "html", "csv", "sarif", "jsonl", "xml")]
    telling = ["--notify=file:alerts.jsonl", "--notify-when=always", "--metrics=run.prom", "--debug=debug.log"]
    done = ctvalidate(pretended, *where, *outputs, *telling, "--state", "memory", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / name).stat().st_size for name in ("report.json", "report.html", "alerts.jsonl", "run.prom"))
    assert (tmp_path / "report.html").read_bytes().count(b"\r") == 0
    done = ctvalidate(pretended, "simulate", "new", "--hours", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = shlex.split(done.stdout.decode().splitlines()[-1].replace("\\", "/"))[1:]
    assert ctvalidate(pretended, *line, cwd=tmp_path).returncode == 0
    assert ctvalidate(pretended, "demo", cwd=tmp_path).returncode == 0


# -- consoles


COMMANDS: Final = (
    ("--help",),
    ("doctor", "--help"),
    ("explain", "log-extra"),
    ("report", "told.json"),
    ("report", "told.json", "--show", "all", "--format", "csv"),
    ("compare", "told.json", "told.json"),
)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp932", "ascii"])
def test_code_pages_lack_characters_and_no_output_fails_for_it(tmp_path: Path, encoding: str) -> None:
    _, where = trail(tmp_path, *TAMPERS)
    console = {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    done = ctvalidate((), *where, "--output", "told.json", cwd=tmp_path, **console)
    assert done.returncode == 1
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    for finding in told["findings"]:
        finding["key"] = "AWSLogs/Ключ-鍵-ü-\N{RIGHTWARDS ARROW}-…"
    (tmp_path / "told.json").write_text(json.dumps(told), encoding="utf-8")
    for command in COMMANDS:
        done = ctvalidate((), *command, cwd=tmp_path, **console)
        assert done.returncode in (0, 1), (command, done.stderr)
        assert b"codec" not in done.stderr + done.stdout
        # A document's encoding is its own; and click takes ASCII for a system that was never set up.
        assert done.stdout.decode("utf-8" if "csv" in command or encoding == "ascii" else encoding)
    done = ctvalidate((), *where, "--format", "html", cwd=tmp_path, **console)
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.decode("utf-8").rstrip().endswith("</html>")  # a document's encoding is its own


# -- names


@pytest.mark.parametrize(
    "path",
    [
        *(
            "a:b",
            "C:x",
            "a/CON",
            "a/con.json.gz",
            "nul",
            "a/COM1.txt/b",
            "LPT9",
            "a/LPT¹.gz",
            "aux .gz",
            "a./b",
            "a /b",
        ),
        *("x.", "a\\b", "a|b", 'a"b', "a<b", "a\x1fb", "CONIN$", "a/Aux:x"),
    ],
)
def test_names_that_windows_cannot_hold(path: str) -> None:
    assert is_foreign(path, windows=True)
    assert not is_foreign(path, windows=False)


@pytest.mark.parametrize(
    "path",
    [
        *("111122223333_CloudTrail_us-east-1_20260101T0000Z_aB3dE6gH9jK2mN5p.json.gz", "AWSLogs/CloudTrail-Digest/x"),
        *("CONSOLE", "com", "COM10", "nullable.gz", "a.b/c", "con_x", "é"),
    ],
)
def test_names_that_every_system_holds(path: str) -> None:
    assert not is_foreign(path, windows=True)
    assert is_foreign(path + "\0", windows=False)


def test_names_that_macos_and_windows_take_for_the_same() -> None:
    assert folded("AWSLogs/x_aB.gz") == folded("awslogs/X_Ab.GZ")
    assert folded("é") == folded("e\N{COMBINING ACUTE ACCENT}") == folded("É")
    assert folded("a") != folded("b")


@pytest.mark.skipif(REAL, reason="which names are one file is pretended")
@pytest.mark.parametrize("system", [(), ("folding",)], ids=["telling-apart", "folding"])
@pytest.mark.parametrize("renamed", ["log", "digest", "folder"])
def test_what_is_renamed_in_case_alone_is_missing_on_every_system(
    tmp_path: Path, system: tuple[str, ...], renamed: str
) -> None:
    """S3 tells such names apart: nothing that was delivered lies under the new one."""
    _, options = trail(tmp_path)
    digests = sorted(tmp_path.glob("copy/AWSLogs/*/CloudTrail-Digest/us-east-1/**/*Z.json.gz"))
    logs = sorted(tmp_path.glob("copy/AWSLogs/*/CloudTrail/us-east-1/**/*.json.gz"))
    old = {"log": logs[3], "digest": digests[3], "folder": logs[3].parents[3]}[renamed]
    old.rename(old.with_name(old.name.upper() if renamed == "folder" else old.name.replace(".json.gz", ".JSON.gz")))
    done = ctvalidate(system, *options, "--format", "json", cwd=tmp_path)
    told = [finding["rule"] for finding in json.loads(done.stdout)["findings"]]
    assert done.returncode == 1, done.stderr
    missing = {"log": 1, "digest": 0, "folder": len(logs)}[renamed]
    assert told.count("log-missing") == missing
    assert told.count("log-extra") == (1 if renamed == "log" else 0)
    assert told.count("digest-missing") == (1 if renamed == "digest" else 0)


@pytest.mark.parametrize("kept", ["all", "one"])
def test_objects_whose_keys_differ_in_case_are_never_one_file(
    aws: AwsServer, tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a system that folds names the second is left out, and said so; the snapshot proves itself all the same."""
    world = in_moto(aws)
    s3: Any = aws.client("s3")
    there = world.objects(aws)
    log = min(key for key in there if "/CloudTrail/us-east-1/" in key)
    twin = log.removesuffix(".json.gz")[:-1] + log.removesuffix(".json.gz")[-1].swapcase() + ".json.gz"
    twin = twin if twin != log else log.replace("Z_", "z_")
    s3.put_object(Bucket=BUCKET, Key=twin, Body=b"planted")
    system = () if kept == "all" else ("folding",)
    options = [*world.where, *world.window, "--no-progress"]
    done = ctvalidate(system, "snapshot", "--to", "kept", *options, cwd=tmp_path, **aws.env)
    told = json.loads((tmp_path / "kept" / "manifest.json").read_text())
    held = {file["object"]["key"] for file in told["files"] if "object" in file}
    assert len({log, twin} & held) == (2 if kept == "all" else 1), done.stderr
    assert {left["key"] for left in told["left_out"]} == {log, twin} - held
    assert (b"left out" in done.stderr) == (kept == "one")
    done = ctvalidate(system, "verify-snapshot", "kept", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
