"""An inventory of what was proven, compared with what S3 computes of what lies there now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.inventory.files import Item, read, write
from tests.cli.helpers import call
from tests.cli.test_state import validated
from tests.inventory.test_batch_report import COMPUTED, SCHEMA, row
from tests.servers.clients import make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.servers.aws import AwsServer

KINDS = pytest.mark.parametrize("ending", ["jsonl", "parquet"])


def report(folder: Path, items: Iterable[Item], change: Callable[[Item], str | None] = lambda _: None) -> Path:
    """A job's report about objects; `change` writes the row of one otherwise."""
    lines = [change(item) or computed(item) for item in items]
    text = "".join(lines)
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "a.csv").write_text(text)
    told = {"TaskExecutionStatus": "succeeded", "Bucket": "reports", "Key": "job-1/results/a.csv"}
    told["MD5Checksum"] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    path = folder / "manifest.json"
    path.write_text(json.dumps({"Format": "Report_CSV_20180820", "Results": [told], "ReportSchema": SCHEMA}))
    return path


def computed(item: Item, sha256: str | None = None) -> str:
    line = row(item.key, {**COMPUTED, "checksum_base64": "", "checksum_hex": sha256 or item.sha256})
    return line.replace("amzn-s3-demo-bucket", item.bucket, 1)


def failed(item: Item, code: str, error: str) -> str:
    return row(item.key, "", "failed", code, error).replace("amzn-s3-demo-bucket", item.bucket, 1)


@pytest.fixture(params=["jsonl", "parquet"])
def inventory(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What a run has written."""
    path = tmp_path / f"proven.{request.param}"
    assert call(capsys, *validated(tmp_path, capsys, "--inventory", str(path), "--format", "json")).code == 0
    return path


def recheck(capsys: pytest.CaptureFixture[str], inventory: Path, manifest: object, *more: str) -> tuple[object, str]:
    shown = call(capsys, "recheck", "--inventory", str(inventory), "--checksum-report", str(manifest), *more)
    return shown.code, shown.out + shown.err


def test_it_holds_the_stored_bytes_of_all_that_is_proven(inventory: Path, tmp_path: Path) -> None:
    items = list(read(inventory))
    assert [item.sort for item in items].count("log") == 6
    assert [item.sort for item in items].count("digest") == 3
    for item in items:
        data = (tmp_path / "trail" / item.key).read_bytes()
        assert (item.sha256, item.size) == (hashlib.sha256(data).hexdigest(), len(data))


def test_what_was_proven_earlier_stays(inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is altered by now: then it is what S3's checksum is compared with."""
    before = {item.key: item for item in read(inventory)}
    victim = next(key for key, item in before.items() if item.sort == "log")
    (tmp_path / "trail" / victim).write_bytes(b"other")
    options = ["--source", str(tmp_path / "trail"), "--public-keys", str(tmp_path / "trail.keys.json")]
    assert call(capsys, *options, "--last", "10d", "--inventory", str(inventory)).code == 1
    after = {item.key: item.sha256 for item in read(inventory)}
    assert {key: item.sha256 for key, item in before.items()}.items() <= after.items()


def test_the_same_is_proven_again(inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = recheck(capsys, inventory, report(tmp_path, read(inventory)))
    assert (code, "9 same" in out, "VALID" in out) == (0, True, True)


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        (lambda item: computed(item, "00" * 32), 1, "ALTERED"),
        (lambda item: failed(item, "404", "NoSuchKey"), 1, "MISSING"),
        (lambda item: failed(item, "403", "AccessDenied"), 3, "UNVERIFIABLE"),
        (lambda item: computed(item).replace("SHA256", "CRC64NVME"), 3, "UNVERIFIABLE"),
        (lambda _: "\n", 3, "UNCOVERED"),
        (lambda item: computed(item) + computed(item, "00" * 32), 1, "ALTERED"),
    ],
)
def test_what_differs_is_named(
    inventory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Item], str],
    code: int,
    word: str,
) -> None:
    items = list(read(inventory))
    manifest = report(tmp_path, items, lambda item: change(item) if item is items[3] else None)
    got, out = recheck(capsys, inventory, manifest)
    assert (got, word in out, items[3].key in out) == (code, True, True), out
    told = json.loads(recheck(capsys, inventory, manifest, "--format", "json")[1])
    assert (told["exit_code"], told["counts"]["same"], told["differences"][0]["key"]) == (code, 8, items[3].key)


def test_a_report_about_other_objects_compares_nothing(
    inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [
        Item(bucket="b", key="k", size=1, sha256="00" * 32, etag="", sort="log", proven=next(read(inventory)).proven)
    ]
    code, out = recheck(capsys, inventory, report(tmp_path, other))
    assert (code, "1 object of the report" in out) == (4, True)


def test_a_file_that_is_not_what_the_manifest_tells(
    inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = report(tmp_path, read(inventory))
    (tmp_path / "results" / "a.csv").write_text("")
    code, out = recheck(capsys, inventory, manifest)
    assert (code, "another MD5" in out) == (2, True)


def test_in_s3(inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], aws: AwsServer) -> None:
    report(tmp_path, read(inventory))
    client = make_client("s3", aws.endpoint)
    client.create_bucket(Bucket="reports")
    client.put_object(Bucket="reports", Key="job-1/manifest.json", Body=(tmp_path / "manifest.json").read_bytes())
    client.put_object(Bucket="reports", Key="job-1/results/a.csv", Body=(tmp_path / "results" / "a.csv").read_bytes())
    code, out = recheck(capsys, inventory, "s3://reports/job-1/manifest.json", "--endpoint-url", aws.endpoint)
    assert code == 0, out
    assert recheck(capsys, inventory, "s3://reports/nothing", "--endpoint-url", aws.endpoint)[0] == 2


@KINDS
@pytest.mark.parametrize("content", [b"nothing", b"{}\n", b"\x00" * 5_000, b'{"bucket":' + b"[" * 9_000])
def test_what_is_no_inventory_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str, content: bytes
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"\A--inventory: [^\n]*\Z"):
        list(read(path))
    assert recheck(capsys, path, report(tmp_path, ()))[0] == 2


def test_other_endings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = call(capsys, "--source", str(tmp_path), "--last", "1d", "--inventory", str(tmp_path / "a.csv"))
    assert (refused.code, ".jsonl or .parquet" in refused.line) == (2, True)


def test_odd_keys_come_back(tmp_path: Path, inventory: Path) -> None:
    first = next(read(inventory))
    items = [
        Item(bucket="b", key=key, size=1, sha256="ab" * 32, etag="", sort="log", proven=first.proven)
        for key in ("a\nb", "ü\u2028", '"')
    ]
    path = tmp_path / f"odd{inventory.suffix}"
    write(path, items)
    assert list(read(path)) == items
