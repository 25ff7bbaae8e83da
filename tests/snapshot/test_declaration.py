"""The declaration: filled from the snapshot, completed by a person, and held to what the snapshot holds."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from cloudtrail_validate.snapshot import declaration
from cloudtrail_validate.snapshot.manifest import decode
from tests.snapshot.helpers import BUCKET, in_folder, in_moto, manifest, report, verify
from tests.snapshot.test_verifying import named

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

DECLARATION = "DECLARATION.md"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    assert in_folder(folder, "log-missing").snapshot(folder / "s").code == 1
    return folder / "s"


@pytest.fixture
def snapshot(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "s"))


def text_of(folder: Path) -> str:
    return (folder / DECLARATION).read_text(encoding="utf-8")


def test_says_what_when_by_whom_and_what_is_not_claimed(aws: AwsServer, tmp_path: Path) -> None:
    world, folder = in_moto(aws), tmp_path / "s"
    assert world.snapshot(folder).code == 0
    text, told = text_of(folder), report(folder)
    assert str(told.run.caller_arn).startswith("arn:aws:")
    for value in (
        world.simulation.manifest.trail_arn,
        f"s3://{BUCKET}",
        "2026-01-01T00:00:00Z to 2026-01-01T08:00:00Z",
        told.run.caller_arn,
        (folder / "manifest.sha256").read_text()[:64],
        "ctvalidate 0.1.0",
        "ListPublicKeys in ap-northeast-1, ",
        ", asked 20",
        "They do not prove that every event was recorded",
        f"- Objects: {sum('object' in file for file in manifest(folder)['files'])}",
        "No time stamp of an authority",
        "Not signed electronically",
        "\n- Name:\n",
        "\n- Signature:\n",
    ):
        assert str(value) in text


def test_completed_by_a_person_it_is_as_it_was(snapshot: Path) -> None:
    text = text_of(snapshot).replace("- Name:\n", "- Name: Somebody\n  of somewhere\n")
    text = text.replace("- Remarks:", "- Remarks: the disk was sealed.\n\n## Annex\n\nSee the photographs.\n\n- More:")
    text = text.replace("- Computer and account on which it ran:", "- Computer and account on which it ran: not")
    for written in (text, text.replace("\n", "\r\n"), text + "\n\n"):
        (snapshot / DECLARATION).write_bytes(written.encode())
        said = verify(snapshot)
        assert (said.code, named(said)) == (0, set()), said.out
        assert "declared   says what the snapshot holds" in said.out


def test_every_line_above_the_fields_is_held_to(snapshot: Path) -> None:
    data = (snapshot / "manifest.json").read_bytes()
    held = decode(data), report(snapshot), hashlib.sha256(data).hexdigest()
    lines = text_of(snapshot).split("\n")
    assert declaration.compare("\n".join(lines), *held) == ""
    fields = lines.index("- Name:")
    for number in range(fields):
        before, line, after = lines[:number], lines[number], lines[number + 1 :]
        for changed in ([*before, line + " not", *after], [*before, *after], [*before, "and more", line, *after]):
            told = declaration.compare("\n".join(changed), *held)
            assert told or changed == lines, (number, line)
    (snapshot / DECLARATION).write_text("\n".join(lines[:fields]))
    said = verify(snapshot)
    assert (said.code, "lacks the field 'Name'" in said.out) == (1, True)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"# Declaration\n", b"\n" * 20_000])
def test_what_is_none_is_named(snapshot: Path, data: bytes) -> None:
    (snapshot / DECLARATION).write_bytes(data)
    assert named(verify(snapshot)) == {DECLARATION}


def test_taken_away_or_linked_it_is_missed(snapshot: Path) -> None:
    (snapshot / DECLARATION).rename(snapshot.parent / "x")
    assert named(verify(snapshot)) == {DECLARATION}
    (snapshot / DECLARATION).symlink_to(snapshot.parent / "x")
    assert named(verify(snapshot)) == {DECLARATION}


def test_words_of_another_version_are_not_compared(snapshot: Path) -> None:
    text = text_of(snapshot).replace("<!-- ctvalidate declaration 1 -->", "<!-- ctvalidate declaration 2 -->")
    (snapshot / DECLARATION).write_text(text + "what a later version says")
    said = verify(snapshot)
    assert said.code == 0
    assert "declared   in words of another version" in said.out


def test_names_from_outside_are_no_markup(tmp_path: Path) -> None:
    odd = tmp_path / "a`b<script>*[x](y)"
    odd.mkdir()
    world = in_folder(odd)
    assert world.snapshot(tmp_path / "s").code == 0
    html = MarkdownIt("commonmark").render(text_of(tmp_path / "s"))
    assert "<script" not in html
    assert "<a " not in html
    assert verify(tmp_path / "s").code == 0
