"""Cases of files that are read: keys, files of ours that are read back, configuration."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console

from cloudtrail_validate.aws import public_keys
from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore
from cloudtrail_validate.cli import configuration, group
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.shards import MOST_SHARDS
from cloudtrail_validate.core.signature import load_key
from cloudtrail_validate.distribute import parts
from cloudtrail_validate.report import Report, formats
from cloudtrail_validate.report.build import build, this_tool
from cloudtrail_validate.report.compared import compare
from cloudtrail_validate.report.examination import read_examination
from cloudtrail_validate.report.kept import read
from cloudtrail_validate.report.merged import merge
from cloudtrail_validate.report.table import render as table
from cloudtrail_validate.snapshot import manifest
from cloudtrail_validate.state import codec as state
from cloudtrail_validate.state.model import fold
from cloudtrail_validate.state.model import merge as merge_states
from cloudtrail_validate.stores.key_file import read_key_file
from tests.fuzz import material
from tests.fuzz.mutate import Mutator
from tests.fuzz.odd import ODD_TEXT
from tests.snapshot.test_manifest import GOOD as MANIFEST
from tests.state.test_model import edge, stretch
from tests.state.test_model import state as a_state

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)


# Keys.


def a_key_file(mutator: Mutator) -> bytes:
    data = mutator.json(material.key_file())
    if mutator.maybe(0.2):
        value = json.loads(material.key_file())
        der = mutator.data(base64.b64decode(value["PublicKeyList"][0]["Value"]))
        value["PublicKeyList"][0]["Value"] = base64.b64encode(der).decode()
        value["PublicKeyList"][0]["Fingerprint"] = hashlib.md5(der, usedforsecurity=False).hexdigest()
        data = json.dumps(value).encode()
    return data


def read_keys(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keys.json")
        path.write_bytes(data)
        return read_key_file(path).region(material.REGION)


def check_keys(_: bytes, keys: Any) -> None:
    """Every key that is taken hashes to its name, and its times can be reckoned with."""
    for name, key in keys.keys.items() if keys is not None else ():
        assert hashlib.md5(key.der, usedforsecurity=False).hexdigest() == name
        assert load_key(key.der) is not None
        assert key.not_before.tzinfo is not None
        keys.valid_at(NOW)


class _Client:
    """Answers ListPublicKeys with the pages it was given, again and again."""

    def __init__(self, pages: list[Any]) -> None:
        self.pages = pages
        self.asked = 0

    def list_public_keys(self, **_: Any) -> Any:
        self.asked += 1
        page = self.pages[(self.asked - 1) % len(self.pages)]
        if isinstance(page, Exception):
            raise page
        return page


def key_pages(mutator: Mutator) -> list[Any]:
    entries = [
        {
            "Fingerprint": key.fingerprint,
            "Value": key.der,
            "ValidityStartTime": key.not_before,
            "ValidityEndTime": key.not_after,
        }
        for key in material.keys_of(material.made()).keys.values()
    ]
    page: Any = {"PublicKeyList": entries, "ResponseMetadata": {"HTTPStatusCode": 200}}
    page = mutator.value(page)
    if mutator.maybe(0.3) and isinstance(page, dict):
        page["NextToken"] = mutator.one("a", "", None, 7, [], "a" * 5_000)
    return [page] * mutator.one(1, 2) + ([{"PublicKeyList": []}] if mutator.maybe(0.5) else [])


def list_keys(pages: list[Any]) -> Any:
    client = _Client(pages)
    try:
        found = public_keys.list_public_keys(client, material.REGION, NOW, NOW)
    except ANY_ERROR as error:
        failure = from_botocore(error)
        assert isinstance(failure, StoreError)  # no answer is never absence
        raise failure from error
    assert client.asked <= 3_000
    return [key for key in found if load_key(key.der) is not None]


# Files of ours that are read back.


def a_report(mutator: Mutator) -> bytes:
    return mutator.json(mutator.of(material.reports()))


def show(report: Report) -> None:
    """Show a report in every format. Hostile text stays text."""
    for name in formats.FORMATS:
        for document in formats.documents(name, report):
            document.encode()
    out = io.StringIO()
    table(report, Console(file=out, width=80, force_terminal=False, legacy_windows=False))
    assert not set("\x1b\x00\u202e") & set(out.getvalue())


def read_report(data: bytes) -> Any:
    kept = read(data, "1")
    true = read(material.reports()[0], "1")
    show(kept.report)
    show(merge([kept, true], this_tool()))
    compare(true, kept)
    compare(kept, true)
    return kept


def check_report(_: bytes, kept: Any) -> None:
    """The exit code is one of those that there are, and 1 only with evidence."""
    if kept is not None:
        report = kept.report
        assert report.exit_code in (0, 1, 3, 4, 130)
        evidence = any(finding.status in ("altered", "missing", "extra") for finding in report.findings)
        assert report.exit_code != 1 or evidence or report.findings_truncated


def an_examination(mutator: Mutator) -> bytes:
    result = {"check": "bucket-versioning", "status": "bad", "title": "t", "evidence": "e", "why": "w", "remedy": ["a"]}
    value = {
        "schema": "ctvalidate.doctor/1",
        "verdict": "bad",
        "run": {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z", "caller_arn": None},
        "results": [result, {**result, "status": "ok"}],
        "trail_arn": "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events",
        "bucket": "amzn-s3-demo-bucket",
    }
    return mutator.json(json.dumps(value).encode())


def examine(data: bytes) -> Any:
    found = read_examination(data)
    from cloudtrail_validate.report.html import render

    report = read(material.reports()[0], "1").report
    render(report, found).encode()
    return found


def a_part(mutator: Mutator) -> list[bytes]:
    held = [msgspec.json.encode(part) for part in material.parts()]
    at = mutator.chance.randrange(2)
    if mutator.maybe(0.1):
        return [mutator.data(parts.encode(material.parts()[0]))]
    body = mutator.json(held[at]).replace(b"\n", b" ")
    held[at] = body
    return [item + b"\n" + hashlib.sha256(item).hexdigest().encode() + b"\n" for item in held]


def merge_parts(held: list[bytes]) -> Any:
    outcome, first = parts.merge([(f"{number}", parts.decode(data, f"{number}")) for number, data in enumerate(held)])
    return build(outcome, first.request, first.run, first.tolerate)


def check_merged(_: list[bytes], report: Any) -> None:
    if report is not None:
        show(report)


def a_plan(mutator: Mutator) -> bytes:
    plan = asyncio.run(_discovered())
    lines = parts.plan_lines(plan, "s3://b/", Interval(NOW - timedelta(hours=3), NOW), 2).splitlines()
    at = mutator.chance.randrange(len(lines))
    lines[at] = mutator.json(lines[at])
    if mutator.maybe(0.2):
        lines.insert(mutator.chance.randrange(len(lines) + 1), mutator.of((b"", b"{}", lines[-1], b" ")))
    return b"\n".join(lines)


async def _discovered() -> Any:
    from cloudtrail_validate.engine.discover import discover
    from tests.engine.memory import MemoryStore, target_of

    of = material.made()
    return await discover(MemoryStore(of.buckets), target_of(of))


def check_plan(_: bytes, found: Any) -> None:
    """Every account-region has a shard that there is."""
    if found is not None:
        head, shards = found
        assert 1 <= head.shards <= MOST_SHARDS
        assert all(1 <= shard <= head.shards for shard in shards.values())


def a_state_file(mutator: Mutator) -> bytes:
    true = a_state(*(stretch(hour, mark=hour % 251) for hour in range(30)), edges=(edge(1),))
    (region,) = true.regions
    region = msgspec.structs.replace(region, unproven=((40, 44), (50, 51)), owed=(5, 6), late=((3, 1, 2),))
    true = msgspec.structs.replace(true, regions=(region,))
    assert state.decode(state.encode(true), "x") == true
    if mutator.maybe(0.2):
        return mutator.data(state.encode(true))
    tree = msgspec.to_builtins(true, builtin_types=(bytes,))
    change = mutator.one(mutator.value, mutator.like, mutator.like)
    for _ in range(mutator.one(1, 1, 2)):
        tree = _msgpackable(change(tree))
    content = msgspec.msgpack.encode(tree)
    if mutator.maybe(0.1):
        content = mutator.data(content)
    body = zlib.compress(content)
    if mutator.maybe(0.1):
        body = mutator.data(body)
    return f"{state.SCHEMA}\n{hashlib.sha256(body).hexdigest()}\nunsigned\n".encode() + body


def _msgpackable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_msgpackable(name): _msgpackable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_msgpackable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if not isinstance(value, int) or isinstance(value, bool) or -(2**63) <= value < 2**64 else str(value)


def use_state(data: bytes) -> Any:
    """Read it, and do with it what a run does."""
    held = state.decode(data, "x")
    for region in held.regions:
        for item in region.stretches:
            item.interval.overlaps(Interval(NOW, NOW))
        fold({item.start: item for item in region.stretches})
    again = merge_states(held, a_state(stretch(5)))
    assert state.decode(state.encode(again), "x") == again
    return held


def a_manifest(mutator: Mutator) -> bytes:
    value = {**MANIFEST, "keys": [{"region": "us-east-1", "issuer": True, "cause": None, "detail": None}]}
    value["left_out"] = [{"bucket": "b", "key": "k", "reason": "r", "cause": "archived", "size": 1, "modified": None}]
    value["files"] = [*MANIFEST["files"], {"path": "tree/AWSLogs/x.gz", "sha256": "0" * 64, "size": 7}]
    return mutator.json(json.dumps(value).encode())


def check_manifest(_: bytes, found: manifest.Manifest | None) -> None:
    """No path leads out of the snapshot, and the times can be reckoned with."""
    for file in found.files if found is not None else ():
        path = Path("/snapshot", file.path)
        assert ".." not in path.parts
        assert path.is_relative_to("/snapshot")
    if found is not None:
        manifest.encode(found)
        assert found.window.end - found.window.start > timedelta(0)


# Configuration.

_TOML: Final = b"""trail-arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"
last = "26h"
region = ["us-east-1", "eu-west-1"]
concurrency = 64
max-rate = 10.5
verbose = true
start-time = 2026-01-01T00:00:00Z
tolerate = ["gap-tail"]

[snapshot]
to = "snapshots/today"

["keys export"]
region = "us-east-1"
"""


def a_config(mutator: Mutator) -> bytes:
    if mutator.maybe(0.4):
        return mutator.data(_TOML)
    lines = _TOML.decode().splitlines()
    for _ in range(mutator.one(1, 2)):
        at = mutator.chance.randrange(len(lines))
        name, equals, value = lines[at].partition(" = ")
        match mutator.chance.randrange(4):
            case 0:
                name = mutator.text(name)
            case 1:
                value = mutator.one(
                    "7", "-1", "1e999", "nan", "[]", "{}", "[[]]", "{a = 1}", '"x"', "1979-05-27", "07:32:00"
                )
            case 2:
                value = json.dumps(mutator.of(ODD_TEXT))
            case _:
                lines.insert(at, lines[mutator.chance.randrange(len(lines))])
                continue
        lines[at] = f"{name}{equals}{value}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def load_config(data: bytes) -> Any:
    context = click.Context(group, info_name="ctvalidate")
    command = group.get_command(context, "validate")
    assert command is not None
    below = click.Context(command, parent=context, info_name="validate")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(data)
        configuration.load(below, command.params[0], str(path))
    return below.default_map
