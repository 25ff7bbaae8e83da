"""Time stamps: asked of OpenSSL's authority, kept, checked, and never the reason for an exit code."""

from __future__ import annotations

import gzip
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from cloudtrail_validate.snapshot import timestamp
from cloudtrail_validate.snapshot.manifest import SnapshotError
from tests.servers.tsa import Tsa, make_authority, serve_tsa
from tests.snapshot.helpers import Said, in_folder, verify
from tests.snapshot.test_signing import make_key
from tests.snapshot.test_verifying import first, named

DATA = b"manifest"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tsa]:
    with serve_tsa(tmp_path_factory.mktemp("tsa")) as tsa:
        yield tsa


@pytest.fixture
def tsa(authority: Tsa) -> Iterator[Tsa]:
    yield authority
    authority.answer, authority.status = None, 200


def take(tmp_path: Path, url: str, *options: str) -> tuple[Said, Path]:
    return in_folder(tmp_path).snapshot(tmp_path / "s", "--timestamp", url, *options), tmp_path / "s"


def told(said: Said) -> str:
    """What was said of the time stamp."""
    (line,) = (line for line in said.out.splitlines() if line.startswith("time stamp "))
    return line.removeprefix("time stamp ")


def openssl_accepts(said: Said, ca: Path) -> bool:
    """Whether the line that was printed checks the time stamp."""
    (line,) = (line for line in said.out.splitlines() if "openssl ts" in line)
    words = [str(ca) if word == "tsa-ca.pem" else word for word in shlex.split(line)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def query(data: bytes = DATA) -> bytes:
    return TimestampRequestBuilder(data=data, hash_algorithm=HashAlgorithm.SHA256).build().as_bytes()


def test_is_kept_and_proven_by_the_authority_that_is_given(tsa: Tsa, tmp_path: Path) -> None:
    said, folder = take(tmp_path, tsa.url)
    assert said.code == 0
    assert "ctvalidate: time stamp of 20" in said.err
    checked = verify(folder, "--timestamp-ca", str(tsa.ca))
    assert checked.code == 0, checked.out
    assert told(checked).endswith("by CN=Example Time Stamping")
    assert "openssl" not in checked.out
    unchecked = verify(folder)
    assert "whose word that is was not checked: give --timestamp-ca" in told(unchecked)
    assert openssl_accepts(unchecked, tsa.ca)


def test_another_authority_proves_nothing_and_changes_nothing(tsa: Tsa, tmp_path: Path) -> None:
    _, folder = take(tmp_path, tsa.url)
    said = verify(folder, "--timestamp-ca", str(make_authority(tmp_path / "other")))
    assert said.code == 0
    assert "is not proven by --timestamp-ca" in told(said)


def test_the_authority_may_be_the_last_of_all_that_a_system_trusts(tsa: Tsa, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    other = make_authority(tmp_path / "other").read_text()
    bundle.write_text(other * (256 * 1024 // len(other)) + tsa.ca.read_text())
    assert timestamp.check(tsa.reply(query()), DATA, tmp_path, bundle).proven
    bundle.write_bytes(bytes(5 * 1024 * 1024))
    with pytest.raises(SnapshotError, match="is larger than any such file"):
        timestamp.load_authorities(bundle)


def test_whatever_comes_of_it_changes_no_exit_code(tsa: Tsa, tmp_path: Path) -> None:
    answers = {
        "the answer is no RFC 3161 response": b"<html>" * 99,
        "no RFC 3161 response": b"",
        "the authority refused (rejection)": tsa.reply(query(), digests="sha512"),
        "the answer is to another request": tsa.reply(query(b"other")),
        "larger than any": b"\x30" * (timestamp.MOST_BYTES + 1),
    }
    for number, (what, answer) in enumerate(answers.items()):
        tsa.answer = answer
        (tmp_path / str(number)).mkdir()
        said, folder = take(tmp_path / str(number), tsa.url)
        assert (said.code, what in said.err) == (0, True), (what, said.err)
        assert not (folder / "manifest.tsr").exists()
        assert verify(folder).code == 0


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_authority_that_is_out_of_order(tsa: Tsa, tmp_path: Path, status: int) -> None:
    tsa.status = status
    said, folder = take(tmp_path, tsa.url)
    assert (said.code, f"HTTP status {status}" in said.err) == (0, True)
    assert verify(folder).code == 0


def test_an_authority_that_is_not_there(tmp_path: Path) -> None:
    said, folder = take(tmp_path, "http://127.0.0.1:1/")
    assert (said.code, "no connection" in said.err) == (0, True)
    assert "No time stamp of an authority" in (folder / "DECLARATION.md").read_text()
    assert told(verify(folder, "--timestamp-ca", str(make_authority(tmp_path / "ca")))) == "there is none"


def test_an_answer_that_the_parser_refuses_is_kept_for_openssl(tsa: Tsa, tmp_path: Path) -> None:
    """OpenSSL does not sort embedded certificates as DER wants, which rfc3161-client does not forgive."""
    with serve_tsa(tmp_path / "tsa") as chained:
        chained.chain = True
        said, folder = take(tmp_path, chained.url)
        assert said.code == 0
        if "time stamp kept, not read: rfc3161-client refuses it" not in said.err:
            pytest.fail(f"this pair of versions agrees on the order: {said.err}")
        checked = verify(folder, "--timestamp-ca", str(chained.ca))
        assert checked.code == 0
        assert "kept, not checked here: rfc3161-client refuses it" in told(checked)
        assert openssl_accepts(checked, chained.ca)


class TestOnesThatWereChanged:
    def test_are_named_by_the_declaration(self, tsa: Tsa, tmp_path: Path) -> None:
        _, folder = take(tmp_path, tsa.url)
        (folder / "manifest.tsr").write_bytes(tsa.reply(query((folder / "manifest.json").read_bytes())))
        assert named(verify(folder)) == {"manifest.tsr"}
        (folder / "manifest.tsr").unlink()
        assert named(verify(folder)) == {"manifest.tsr"}

    def test_are_named_by_the_signed_statement(self, tsa: Tsa, tmp_path: Path) -> None:
        key = make_key(tmp_path, "key.pem", "ed25519")
        said, folder = take(tmp_path, tsa.url, "--sign-with", str(key))
        assert said.code == 0
        assert "about 4 files" in verify(folder).out
        declared = (folder / "DECLARATION.md").read_text().splitlines(keepends=True)
        honest = [line for line in declared if not line.startswith("- Time stamp")]
        at = next(number for number, line in enumerate(honest) if line.startswith("- Signed"))
        honest.insert(at + 1, "- No time stamp of an authority\n")
        (folder / "DECLARATION.md").write_text("".join(honest))
        (folder / "manifest.tsr").unlink()
        assert named(verify(folder)) == {"manifest.tsr"}

    def test_are_no_change_where_they_were_added_later(self, tsa: Tsa, tmp_path: Path) -> None:
        world, folder = in_folder(tmp_path), tmp_path / "s"
        world.snapshot(folder)
        (folder / "manifest.tsr").write_bytes(tsa.reply(query((folder / "manifest.json").read_bytes())))
        said = verify(folder, "--timestamp-ca", str(tsa.ca))
        assert (said.code, "by CN=Example Time Stamping" in told(said)) == (0, True)
        (folder / "manifest.tsr").write_bytes(tsa.reply(query(b"another manifest")))
        said = verify(folder, "--timestamp-ca", str(tsa.ca))
        assert (said.code, told(said)) == (0, "is of something else than manifest.json")

    def test_do_not_hide_that_a_log_was_changed(self, tsa: Tsa, tmp_path: Path) -> None:
        _, folder = take(tmp_path, tsa.url)
        first(folder, "*_CloudTrail_*.gz").write_bytes(gzip.compress(b"{}"))
        assert verify(folder, "--timestamp-ca", str(tsa.ca)).code == 1


def test_any_damage_of_a_token_is_told_in_one_line(tsa: Tsa, tmp_path: Path) -> None:
    whole = tsa.reply(query())
    undamaged = timestamp.check(whole, DATA, tmp_path, tsa.ca)
    rng = random.Random(3161)
    for number in range(400):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if number % 5 == 0:
            del data[rng.randrange(len(data)) :]
        found = timestamp.check(bytes(data), DATA, tmp_path, tsa.ca)
        assert found.told
        assert found.told.isprintable()
        assert "\n" not in found.told
        assert found == undamaged or not found.proven


def test_a_damaged_signature_or_time_is_never_proven(tsa: Tsa, tmp_path: Path) -> None:
    whole = tsa.reply(query())
    assert timestamp.check(whole, DATA, tmp_path, tsa.ca).proven
    assert not timestamp.check(whole, b"other", tmp_path, tsa.ca).proven
    at = whole.index(b"20", whole.index(b"\x18\x0f"))  # GeneralizedTime of 15 characters
    later = whole[: at + 3] + bytes([whole[at + 3] ^ 1]) + whole[at + 4 :]
    for changed in (later, whole[:-1] + bytes([whole[-1] ^ 1])):
        found = timestamp.check(changed, DATA, tmp_path, tsa.ca)
        assert not found.proven, found.told


@pytest.mark.parametrize(
    "url",
    ["", "ftp://tsa.example.com", "tsa.example.com", "http://", "http://a b", "https://user:pass@tsa.example.com"],
)
def test_a_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SnapshotError, match="--timestamp: expected a URL"):
        timestamp.check_url(url)
    if url:
        assert take(tmp_path, url)[0].code == 2


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_authorities_that_are_none_are_refused(tsa: Tsa, tmp_path: Path, text: str) -> None:
    _, folder = take(tmp_path, tsa.url)
    (tmp_path / "ca.pem").write_text(text)
    said = verify(folder, "--timestamp-ca", str(tmp_path / "ca.pem"))
    assert (said.code, "expected certificates in PEM" in said.err) == (2, True)
    assert verify(folder, "--timestamp-ca", str(tmp_path / "absent")).code == 2


def test_without_the_extra_it_is_refused_and_a_kept_one_is_left_to_openssl(
    tsa: Tsa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = take(tmp_path, tsa.url)
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    (tmp_path / "again").mkdir()
    said, _ = take(tmp_path / "again", tsa.url)
    assert (said.code, "pip install 'ctvalidate[timestamp]'" in said.err) == (2, True)
    said = verify(folder)
    assert (said.code, "not checked here, for want of rfc3161-client" in told(said)) == (0, True)
    assert openssl_accepts(said, tsa.ca)


def test_the_answer_is_kept_byte_for_byte(tsa: Tsa, tmp_path: Path) -> None:
    _, folder = take(tmp_path, tsa.url)
    text = subprocess.run(
        ["openssl", "ts", "-reply", "-in", str(folder / "manifest.tsr"), "-text"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Status: Granted" in text


def test_a_name_of_a_sort_that_nobody_knows_is_no_error_of_ours(tsa: Tsa, tmp_path: Path) -> None:
    """Found by damage: cryptography lets out a KeyError for the tag of a text that X.509 does not know."""
    whole = tsa.reply(query())
    told = set()
    for place in re.finditer(b"Example Time Stamping", whole):
        for tag in (0xA9, 0x04, 0x1F, 0x00, 0xFF):
            at = place.start() - 2
            found = timestamp.check(whole[:at] + bytes([tag]) + whole[at + 1 :], DATA, tmp_path, tsa.ca)
            assert not found.proven
            assert found.told.isprintable()
            told.add(found.told)
    assert any("KeyError" in words for words in told), told
