"""Every vector of query results: the first folder of a simulation, edited, brings about these findings and no others.

`vector.json` has a name, a reason, what to simulate (`LakeSpec`), edits of one folder, and what is to be found.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest

from cloudtrail_validate.core.rules import RULES
from cloudtrail_validate.simulate import LakeSpec

from .kit import SIGN, ask, folder_of, found, write

FOLDER: Final = Path(__file__).parent / "vectors"


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One edit of a folder: `file` is a name in it, `set` and `drop` are dotted paths in its sign file."""

    do: Literal["flip", "append", "write", "move", "copy", "delete", "truncate", "sign", "rehash", "relocate"]
    file: str = ""
    to: str = ""
    at: int = 0
    text: str = ""
    set: dict[str, str] = {}
    drop: str = ""
    day: str = ""


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verification must answer: rule, status and file name of each finding, sorted."""

    exit: int
    findings: list[tuple[str, str, str]]


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case."""

    name: str
    why: str
    rule: str
    spec: dict[str, Any]
    edits: list[Edit]
    expect: Expect


VECTORS: Final = {path.parent.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("vector.json"))}
EVERY = pytest.mark.parametrize("name", VECTORS)


@cache
def read(name: str) -> Vector:
    return msgspec.json.decode(VECTORS[name].read_bytes(), type=Vector)


def apply(folder: Path, edit: Edit) -> None:
    path = folder / edit.file
    match edit.do:
        case "flip":
            data = bytearray(path.read_bytes())
            data[edit.at] ^= 1
            path.write_bytes(data)
        case "append":
            path.write_bytes(path.read_bytes() + edit.text.encode())
        case "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(edit.text)
        case "move":
            path.replace(folder / edit.to)
        case "copy":
            shutil.copy(path, folder / edit.to)
        case "delete":
            path.unlink()
        case "truncate":
            path.write_bytes(path.read_bytes()[: edit.at])
        case "sign" | "rehash":
            edit_sign(folder, edit)
        case "relocate":
            place = folder.parents[3] / edit.day
            place.mkdir(parents=True)
            folder.replace(place / folder.name)


def edit_sign(folder: Path, edit: Edit) -> None:
    sign = json.loads((folder / SIGN).read_bytes())
    for dotted, value in edit.set.items():
        holder, name = held(sign, dotted)
        holder[name] = value
    if edit.drop:
        holder, name = held(sign, edit.drop)
        del holder[name]
    if edit.do == "rehash":
        (entry,) = [one for one in sign["files"] if one["fileName"] == edit.file]
        entry["fileHashValue"] = hashlib.sha256((folder / edit.file).read_bytes()).hexdigest()
    (folder / SIGN).write_text(json.dumps(sign, indent=2))


def held(sign: Any, dotted: str) -> tuple[Any, Any]:
    """What holds the value at a dotted path, and under which name or number."""
    *above, last = dotted.split(".")
    for name in above:
        sign = sign[int(name)] if isinstance(sign, list) else sign[name]
    return sign, int(last) if isinstance(sign, list) else last


@EVERY
def test_a_vector_brings_about_its_findings(tmp_path: Path, name: str) -> None:
    vector, root = read(name), tmp_path / "lake"
    simulation = write(root, spec=LakeSpec(**({"queries": 2} | vector.spec)))
    for edit in vector.edits:
        apply(folder_of(root, simulation), edit)
    report = ask(root)
    assert found(report) == vector.expect.findings
    assert report.exit_code == vector.expect.exit


@EVERY
def test_a_vector_is_what_its_folder_says(name: str) -> None:
    vector = read(name)
    assert (vector.name, vector.rule) == (name, name.partition("/")[0])
    assert vector.why[0].isupper()
    assert vector.why.endswith(".")
    assert vector.rule == "clean" or vector.rule in {rule for rule, _, _ in vector.expect.findings}


def test_every_rule_has_a_vector() -> None:
    """What cannot be read is S3's to refuse: `test_simulated` has it there."""
    rules = {rule for rule in RULES if rule.startswith("lake-") and not rule.endswith("-unreadable")}
    assert {read(name).rule for name in VECTORS} == rules | {"clean"}
