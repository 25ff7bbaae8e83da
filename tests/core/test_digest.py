"""One digest on its own: the string AWS signs, and the one finding for each way in which a digest can be wrong."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudtrail_validate.core.digest import (
    Claim,
    LogReference,
    SignatureStatus,
    observe,
    parse_time,
    proves,
    string_to_sign,
)
from cloudtrail_validate.core.model import HOUR, Interval, Locator

from .helpers import (
    BUCKET,
    START,
    evidence_of,
    fetch,
    known,
    log,
    look,
    make,
    packed,
    pair,
    public,
    received,
    signer,
    unsigned,
    where,
)

FIRST, SECOND = pair()
HERE = where(SECOND)


# -- the string to sign, written out by hand --------------------------------------------------------------------------


def test_the_string_to_sign_of_a_digest_with_a_predecessor() -> None:
    claim = Claim(Locator("old-bucket", "old/key"), "00" * 32, "CaFe01")
    at = Locator("amzn-s3-demo-bucket", "p//AWSLogs/x.json.gz")
    assert string_to_sign("2026-01-05T01:00:00Z", at, "ab12", claim) == (
        b"2026-01-05T01:00:00Z\namzn-s3-demo-bucket/p//AWSLogs/x.json.gz\nab12\nCaFe01"
    )


def test_the_string_to_sign_of_a_starting_digest() -> None:
    at = Locator("amzn-s3-demo-bucket", "AWSLogs/x.json.gz")
    assert string_to_sign("2015-08-17T15:01:31Z", at, "ab12", None) == (
        b"2015-08-17T15:01:31Z\namzn-s3-demo-bucket/AWSLogs/x.json.gz\nab12\nnull"
    )


def test_the_string_to_sign_takes_any_text() -> None:
    assert string_to_sign("é", Locator("b", "k\udcff\0"), "", None) == b"\xc3\xa9\nb/k\xed\xb3\xbf\0\n\nnull"


def test_openssl_agrees_on_what_was_signed(tmp_path: Path) -> None:
    """The verifier's string and the simulator's signature, judged by neither."""
    evidence = evidence_of(SECOND)
    files = {
        "signed": string_to_sign(evidence.end_text, evidence.where, evidence.sha256, evidence.previous),
        "signature": bytes.fromhex(evidence.signature or ""),
        "key.der": signer().public.der,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def openssl(*arguments: str) -> int:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=False).returncode

    assert openssl("rsa", "-RSAPublicKey_in", "-inform", "DER", "-in", "key.der", "-pubout", "-out", "key.pem") == 0
    check = ("dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed")
    assert openssl(*check) == 0
    (tmp_path / "signed").write_bytes(files["signed"] + b" ")
    assert openssl(*check) != 0


# -- observe: what a genuine digest says ------------------------------------------------------------------------------


def test_a_genuine_digest_is_valid_and_says_everything_it_holds() -> None:
    evidence, logs = look(fetch(SECOND))
    assert evidence.findings == ()
    assert evidence.own is SignatureStatus.VALID
    assert evidence.where == HERE
    assert evidence.interval == evidence.says == Interval(START, START + HOUR)
    assert evidence.sha256 == hashlib.sha256(SECOND.content).hexdigest()
    assert evidence.signature == SECOND.signature
    assert evidence.fingerprint == signer().fingerprint
    assert evidence.end_text == "2026-01-05T01:00:00Z"
    assert evidence.previous == Claim(where(FIRST), hashlib.sha256(FIRST.content).hexdigest(), FIRST.signature)
    assert not evidence.starting
    assert logs == (LogReference(BUCKET, log().key, log().sha256, "SHA-256"),)
    assert logs[0].where == Locator(BUCKET, log().key)


def test_a_starting_digest_has_no_predecessor() -> None:
    evidence, logs = look(fetch(FIRST))
    assert (evidence.own, evidence.starting, evidence.previous, logs) == (SignatureStatus.VALID, True, None, ())


@pytest.mark.parametrize(
    "names",
    [("Signature", "Signature-Algorithm"), ("SIGNATURE", "SIGNATURE-ALGORITHM"), ("signature", "Signature-algorithm")],
)
def test_metadata_names_in_any_case_are_found(names: tuple[str, str]) -> None:
    metadata = dict(zip(names, (SECOND.signature, "SHA256withRSA"), strict=True))
    evidence, _ = look(fetch(SECOND, metadata=metadata))
    assert (evidence.own, evidence.findings) == (SignatureStatus.VALID, ())


def test_a_signature_in_upper_case_is_the_same_signature() -> None:
    metadata = SECOND.metadata | {"signature": SECOND.signature.upper()}
    assert look(fetch(SECOND, metadata=metadata))[0].own is SignatureStatus.VALID


def test_a_local_copy_stands_for_the_bucket_that_the_digest_names() -> None:
    evidence, _ = look(fetch(SECOND, at=Locator("", SECOND.key)))
    assert (evidence.own, evidence.where) == (SignatureStatus.VALID, HERE)


def test_a_local_copy_without_metadata_has_lost_the_signature_and_that_is_no_finding() -> None:
    evidence, logs = look(fetch(SECOND, metadata=None))
    assert (evidence.own, evidence.findings, evidence.signature) == (SignatureStatus.ABSENT, (), None)
    assert len(logs) == 1


def noise(number: int) -> str:
    """A name of 700 letters and digits that shrinks no more than real ones do."""
    return hashlib.shake_128(number.to_bytes(4)).hexdigest(350)


def test_a_content_that_grew_past_8_mb_still_names_its_logs_without_a_signature() -> None:
    """A successor may prove it: were its logs dropped, all of them would count as extra."""
    many = make(START + HOUR, previous=FIRST, logs=[log(noise(number)) for number in range(9_000)])
    assert len(many.content) > 8 * 1024 * 1024
    evidence, logs = look(fetch(many, metadata=None))
    assert (evidence.own, len(logs)) == (SignatureStatus.ABSENT, 9_000)


# -- proves -----------------------------------------------------------------------------------------------------------


def test_a_signature_found_elsewhere_proves_the_digest() -> None:
    lost = look(fetch(SECOND, metadata={}))[0]
    assert proves(lost, SECOND.signature, known())
    assert not proves(lost, FIRST.signature, known())
    assert not proves(lost, "", known())
    assert not proves(lost, "zz", known())
    assert not proves(lost, SECOND.signature, known(public(signer(1))))


def test_what_was_received_is_what_was_sent() -> None:
    """The helper that stands for a store: name, content and hash are those of the object."""
    fetched = received(packed(b"x"), HERE, {})
    assert (fetched.end, fetched.content, fetched.sha256) == (START + HOUR, b"x", hashlib.sha256(b"x").hexdigest())
    assert unsigned(observe(fetched, known())[0]).findings == ()


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05T01:02:03Z", datetime(2026, 1, 5, 1, 2, 3, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2026-02-29T00:00:00Z", None),
        ("2026-01-05T24:00:00Z", None),
        ("2026-01-05T01:02:60Z", None),
        ("0000-01-05T01:02:03Z", None),
        ("2026-01-05T01:02:03", None),
        ("2026-01-05 01:02:03Z", None),
        ("2026-01-05T01:02:03z", None),
        ("2026-01-05T01:02:03.5Z", None),
        ("2026-01-05T01:02:03Z\n", None),
        ("２０２６-01-05T01:02:03Z", None),
        ("", None),
    ],
)
def test_times_are_read_in_one_form_only(text: str, expected: datetime | None) -> None:
    assert parse_time(text) == expected
