"""What an object's versions tell, case by case, on two servers that keep versions. Each case is a file in `histories`.

A case puts, deletes and purges one object of a genuine trail, and says what the report must then hold of it. Versions
are called by the step that wrote them, the one that was delivered `first`. Where a command restores the original, it is
pasted into a shell, and the trail validated again.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import pytest

from cloudtrail_validate.core.versions import Changes, Versions
from tests.evidence.kit import SPEC, Trail, make_trail, without_first_event

if TYPE_CHECKING:
    from datetime import datetime

    from tests.servers.swift import SwiftServer

CASES: Final = {path.stem: path for path in sorted((Path(__file__).parent / "histories").glob("*.json"))}
BUCKETS: Final = count(1)


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is done to the object: exactly one of these."""

    put: str | None = None
    delete: str | None = None  # what the delete marker is called
    purge: str | None = None  # a version, for good
    suspend: bool = False  # versioning
    wait: bool = False  # for another second: S3 tells times to the second, and markers apart from versions


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the report says: versions newest first with `proven`; `note` is a pattern."""

    rules: list[str]
    versions: list[tuple[str, bool | None]]
    original: str | None
    replaced: str | None
    deleted: str | None
    restore: Literal["copy", "marker"] | None
    changes: dict[str, int] | None
    problem: bool
    note: str | None
    rules_after_restoring: list[str] = []


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One history."""

    about: str
    object: Literal["log", "digest", "planted"]
    versioning: bool
    steps: list[Step]
    expect: Expected
    servers: tuple[Literal["moto", "swift"], ...] = ("moto", "swift")


@cache
def read(name: str) -> Case:
    return msgspec.json.decode(CASES[name].read_bytes(), type=Case)


def edited(body: bytes, change: str) -> bytes:
    """A body as a step names it, made of the one that was delivered."""
    match change:
        case "first again":
            return body
        case "junk":
            return b"gone"
        case "appended":
            return body + b"more"
        case "cut":
            return without_first_event(body)
    document = json.loads(gzip.decompress(body))
    match change:
        case "changed":
            document["Records"][0]["sourceIPAddress"] = "198.51.100.7"
        case "planted":
            document["Records"].append(document["Records"][0] | {"eventID": "11111111-2222-3333-4444-555555555555"})
        case "edited":
            document["newestEventTime"] = None
    return gzip.compress(json.dumps(document).encode(), mtime=0)


def play(case: Case, trail: Trail) -> tuple[str, dict[str, str]]:
    """Do the steps. Returns the object's key, and what each version is called by its id."""
    key = trail.digests[2] if case.object == "digest" else trail.logs[0]
    body, metadata = trail.get(key), trail.s3.head_object(Bucket=trail.bucket, Key=key)["Metadata"]
    names = {trail.version_of(key): "first"}
    if case.object == "planted":
        key, names = key.replace(".json.gz", "0.json.gz"), {}
    for step in case.steps:
        if step.put is not None:
            kept = {} if step.put == "bare" else {name.lower(): value for name, value in metadata.items()}
            what = body if step.put == "bare" else edited(body, step.put)
            names[trail.put(key, what, Metadata=kept)] = step.put
        elif step.delete is not None:
            names[trail.delete(key)] = step.delete
        elif step.purge is not None:
            (gone,) = [version for version, name in names.items() if name == step.purge]
            trail.s3.delete_object(Bucket=trail.bucket, Key=key, VersionId=gone)
        elif step.wait:
            time.sleep(1.1)
        else:
            trail.s3.put_bucket_versioning(Bucket=trail.bucket, VersioningConfiguration={"Status": "Suspended"})
    return key, names


def rules_of(trail: Trail, key: str) -> list[str]:
    return sorted(finding.rule for finding in trail.findings() if finding.where and finding.where.key == key)


def told(seen: Versions, names: dict[str, str], rules: list[str], after: list[str], hint: Expected) -> Expected:
    """What the versions say, in the words of a case. Of versions of one second it is the one that `hint` names."""
    at = {names[version.version_id]: version.last_modified for version in seen.versions}

    def named(moment: datetime | None, expected: str | None) -> str | None:
        if moment is None:
            return None
        return expected if expected and at[expected] == moment else f"another, of {moment}"

    changes = seen.changes if isinstance(seen.changes, Changes) else None
    numbers = msgspec.structs.asdict(changes.counts) if changes else {}
    command = seen.restore_command or ""
    return Expected(
        rules=rules,
        versions=[(names[version.version_id], version.proven) for version in seen.versions],
        original=names[seen.original.version_id] if seen.original else None,
        replaced=named(seen.replaced_at, hint.replaced),
        deleted=named(seen.deleted_at, hint.deleted),
        restore="copy" if "copy-object" in command else "marker" if "delete-object" in command else None,
        changes={name: number for name, number in numbers.items() if name != "duplicates"} if changes else None,
        problem=bool(changes and changes.problem),
        note=seen.note,
        rules_after_restoring=after,
    )


def restored(seen: Versions, trail: Trail, key: str) -> list[str]:
    """What is found of the object once a responder has pasted the command into a shell where aws-cli is."""
    if seen.restore_command is None:
        return []
    words = shlex.split(seen.restore_command)
    assert words[0] == "aws"
    aws = str(Path(sys.executable).with_name("aws"))
    done = subprocess.run([aws, *words[1:]], capture_output=True, env=os.environ, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return rules_of(trail, key)


def check(case: Case, trail: Trail) -> None:
    key, names = play(case, trail)
    rules = rules_of(trail, key)
    seen = trail.witness(key)
    expected = case.expect
    found = told(seen, names, rules, restored(seen, trail, key), expected)
    assert re.search(expected.note or "^$", found.note or ""), found.note
    assert msgspec.structs.replace(found, note=None) == msgspec.structs.replace(expected, note=None)


def on(server: Literal["moto", "swift"]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in CASES if server in read(name).servers])


@on("moto")
def test_on_moto(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    client: Any = request.getfixturevalue("aws").client("s3")
    check(read(name), make_trail(client, tmp_path, versioned=read(name).versioning))


@pytest.mark.skipif(sys.platform != "linux", reason="Swift runs on Linux")
@on("swift")
def test_on_swift(swift: SwiftServer, tmp_path: Path, name: str) -> None:
    """One server for all cases of a process, and a bucket for each."""
    spec = dataclasses.replace(SPEC, bucket=f"amzn-s3-demo-bucket-{next(BUCKETS)}")
    check(read(name), make_trail(swift.client(), tmp_path, versioned=read(name).versioning, spec=spec))
