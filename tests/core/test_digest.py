"""One digest on its own: the string AWS signs, and the one finding for each way in which a digest can be wrong."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudtrail_validate import rules
from cloudtrail_validate.content import Flaw
from cloudtrail_validate.digest import (
    MAX_DIGEST_BYTES,
    Claim,
    LogReference,
    Own,
    observe,
    parse_time,
    proves,
    string_to_sign,
    unreadable,
)
from cloudtrail_validate.model import HOUR, Cause, Interval, Locator, Status
from cloudtrail_validate.signature import PublicKey, RegionKeys
from cloudtrail_validate.simulate.digests import SignedDigest, signed

from .helpers import (
    ACCOUNT,
    BUCKET,
    CHAIN,
    REGION,
    START,
    edited,
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
ALTERED, UNVERIFIABLE = Status.ALTERED, Status.UNVERIFIABLE
LATER = Interval(START + timedelta(days=40), START + timedelta(days=70))


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
    assert evidence.own is Own.VALID
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
    assert (evidence.own, evidence.starting, evidence.previous, logs) == (Own.VALID, True, None, ())


@pytest.mark.parametrize(
    "names",
    [("Signature", "Signature-Algorithm"), ("SIGNATURE", "SIGNATURE-ALGORITHM"), ("signature", "Signature-algorithm")],
)
def test_metadata_names_in_any_case_are_found(names: tuple[str, str]) -> None:
    metadata = dict(zip(names, (SECOND.signature, "SHA256withRSA"), strict=True))
    evidence, _ = look(fetch(SECOND, metadata=metadata))
    assert (evidence.own, evidence.findings) == (Own.VALID, ())


def test_a_signature_in_upper_case_is_the_same_signature() -> None:
    metadata = SECOND.metadata | {"signature": SECOND.signature.upper()}
    assert look(fetch(SECOND, metadata=metadata))[0].own is Own.VALID


def test_a_local_copy_stands_for_the_bucket_that_the_digest_names() -> None:
    evidence, _ = look(fetch(SECOND, at=Locator("", SECOND.key)))
    assert (evidence.own, evidence.where) == (Own.VALID, HERE)


def test_a_local_copy_without_metadata_has_lost_the_signature_and_that_is_no_finding() -> None:
    evidence, logs = look(fetch(SECOND, metadata=None))
    assert (evidence.own, evidence.findings, evidence.signature) == (Own.LOST, (), None)
    assert len(logs) == 1


def test_a_content_that_grew_past_8_mb_still_names_its_logs_without_a_signature() -> None:
    """A successor may prove it: were its logs dropped, all of them would count as extra."""
    many = make(START + HOUR, previous=FIRST, logs=[log(f"l{number}" + "x" * 700) for number in range(9_000)])
    assert len(many.content) > 8 * 1024 * 1024
    evidence, logs = look(fetch(many, metadata=None))
    assert (evidence.own, len(logs)) == (Own.LOST, 9_000)


# -- observe: each outcome --------------------------------------------------------------------------------------------

WRONG_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("a time that is none", {"digestEndTime": "2026-01-05T25:00:00Z"}),
    ("a time without its Z", {"digestStartTime": "2026-01-05T00:00:00"}),
    ("a time with an offset", {"digestStartTime": "2026-01-05T00:00:00+00:00"}),
    ("times that run backwards", {"digestStartTime": "2026-01-05T02:00:00Z"}),
    ("a number for a text", {"digestS3Object": 5}),
    ("null for a text", {"digestS3Bucket": None}),
    ("a list for a text", {"awsAccountId": [ACCOUNT]}),
    ("half a predecessor", {"previousDigestSignature": None}),
    ("the other half of a predecessor", {"previousDigestS3Object": None, "previousDigestS3Bucket": None}),
    ("logs that are no list", {"logFiles": {"a": 1}}),
    ("null for the logs", {"logFiles": None}),
    ("a log that is no object", {"logFiles": ["x"]}),
    ("a log without its hash", {"logFiles": [{"s3Bucket": "b", "s3Object": "k", "hashAlgorithm": "SHA-256"}]}),
    ("a text that is too long", {"digestS3Object": "k" * 5000}),
]


@pytest.mark.parametrize("fields", [fields for _, fields in WRONG_FIELDS], ids=[name for name, _ in WRONG_FIELDS])
def test_a_digest_with_a_wrong_field_is_malformed(fields: dict[str, Any]) -> None:
    check_broken(packed(edited(SECOND, **fields)))


@pytest.mark.parametrize("field", sorted({*SECOND.record} - {"newestEventTime", "oldestEventTime"}))
def test_a_digest_that_lacks_a_field_is_malformed(field: str) -> None:
    import json

    check_broken(packed(json.dumps({name: value for name, value in SECOND.record.items() if name != field}).encode()))


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", Flaw.NOT_GZIP.value),
        (b"{not gzip}", Flaw.NOT_GZIP.value),
        (SECOND.content, Flaw.NOT_GZIP.value),
        (packed(SECOND.content)[:-1], Flaw.TRUNCATED.value),
        (packed(SECOND.content)[:40], Flaw.TRUNCATED.value),
        (packed(SECOND.content)[:-8] + bytes(8), Flaw.DAMAGED.value),
        (packed(b" " * (MAX_DIGEST_BYTES + 1)), Flaw.TOO_LARGE.value),
        (packed(b""), "truncated"),
        (packed(b"not json"), "malformed"),
        (packed(b"[]"), "Expected `object`"),
        (packed(SECOND.content + b"}"), "trailing"),
        (packed(SECOND.content.replace(b"mgmt", b"mg\xff\xfe")), "utf-8"),
        (packed(SECOND.content.replace(b"mgmt", b"mg\\ud800")), "utf-16"),
    ],
)
def test_a_container_or_text_that_is_no_digest_is_malformed(body: bytes, detail: str) -> None:
    assert detail in check_broken(body)


def check_broken(body: bytes) -> str:
    """The one finding of something that is no digest, whose hours are known by its key alone; returns the detail."""
    evidence, logs = look(fetch(SECOND, body=body))
    assert (evidence.own, evidence.previous, logs, evidence.starting) == (Own.UNUSABLE, None, (), False)
    (finding,) = evidence.findings
    assert (finding.rule, finding.status, finding.where) == (rules.DIGEST_MALFORMED, ALTERED, HERE)
    assert finding.interval == evidence.interval == Interval(START, START + HOUR)
    return finding.detail or ""


def unpublished() -> SignedDigest:
    return make(START + HOUR, previous=FIRST, logs=[log()], key=signer(2))


Case = tuple[Callable[[], Any], Own, str, Status]
CASES: dict[str, Case] = {
    "a log dropped from the list": (
        lambda: look(fetch(SECOND, body=packed(edited(SECOND, logFiles=[])))),
        Own.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "the same JSON written otherwise": (
        lambda: look(fetch(SECOND, body=packed(edited(SECOND)))),
        Own.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "a signature that is no hex": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature": "no hex"})),
        Own.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "an empty signature": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature": ""})),
        Own.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "another digest's signature": (
        lambda: look(fetch(SECOND, metadata=FIRST.metadata)),
        Own.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "no metadata": (lambda: look(fetch(SECOND, metadata={})), Own.LOST, rules.DIGEST_SIGNATURE_MISSING, ALTERED),
    "no signature in the metadata": (
        lambda: look(fetch(SECOND, metadata={"signature-algorithm": "SHA256withRSA"})),
        Own.LOST,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "a signature without its algorithm": (
        lambda: look(fetch(SECOND, metadata={"signature": SECOND.signature})),
        Own.VALID,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "a wrong signature without its algorithm": (
        lambda: look(fetch(SECOND, metadata={"signature": FIRST.signature})),
        Own.LOST,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "another algorithm in the metadata": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature-algorithm": "SHA512withRSA"})),
        Own.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another algorithm in the digest, signed": (
        lambda: look(fetch(resigned(digestSignatureAlgorithm="MD5withRSA"))),
        Own.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another hash of the predecessor, signed": (
        lambda: look(fetch(resigned(previousDigestHashAlgorithm="MD5"))),
        Own.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another hash of a log, signed": (
        lambda: look(fetch(resigned(logFiles=[reference() | {"hashAlgorithm": "MD5"}]))),
        Own.VALID,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "an unknown key, by a file": (
        lambda: look(fetch(unpublished())),
        Own.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        UNVERIFIABLE,
    ),
    "an unknown key, by the issuer, who has others of that time": (
        lambda: look(fetch(unpublished()), known(issuer=True)),
        Own.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        ALTERED,
    ),
    "an unknown key, by the issuer, who has none of that time": (
        lambda: look(fetch(unpublished()), known(public(signer(), LATER), issuer=True)),
        Own.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        UNVERIFIABLE,
    ),
    "no key at all": (lambda: look(fetch(SECOND), RegionKeys()), Own.NO_KEY, rules.DIGEST_KEY_UNKNOWN, UNVERIFIABLE),
    "bytes after the member": (
        lambda: look(fetch(SECOND, body=packed(SECOND.content) + b"x")),
        Own.VALID,
        rules.DIGEST_TRAILING_DATA,
        ALTERED,
    ),
    "a second member": (
        lambda: look(fetch(SECOND, body=packed(SECOND.content) * 2)),
        Own.VALID,
        rules.DIGEST_TRAILING_DATA,
        ALTERED,
    ),
    "another key": (
        lambda: look(fetch(SECOND, at=Locator(BUCKET, FIRST.key))),
        Own.UNUSABLE,
        rules.DIGEST_MOVED,
        ALTERED,
    ),
    "another bucket": (
        lambda: look(fetch(SECOND, at=Locator("amzn-s3-demo-bucket2", SECOND.key))),
        Own.UNUSABLE,
        rules.DIGEST_MOVED,
        ALTERED,
    ),
    "another place in a local copy": (
        lambda: look(fetch(SECOND, at=Locator("", FIRST.key))),
        Own.UNUSABLE,
        rules.DIGEST_MOVED,
        ALTERED,
    ),
}


def reference() -> dict[str, Any]:
    return dict(SECOND.record["logFiles"][0])


def resigned(**fields: Any) -> SignedDigest:
    """Signed by whoever holds CloudTrail's key."""
    return signed({**SECOND.record, **fields}, signer(), SECOND)


@pytest.mark.parametrize("name", CASES)
def test_each_flaw_has_its_one_finding(name: str) -> None:
    look_at, own, rule, status = CASES[name]
    evidence, _ = look_at()
    (finding,) = evidence.findings
    assert (evidence.own, finding.rule, finding.status) == (own, rule, status)
    assert (finding.account, finding.region, finding.trail) == (ACCOUNT, REGION, "mgmt")
    assert finding.where == evidence.where


def test_every_digest_rule_that_one_digest_alone_can_break_is_among_the_cases() -> None:
    covered = {case[2] for case in CASES.values()} | {rules.DIGEST_MALFORMED, rules.DIGEST_UNREADABLE}
    by_neighbours = {rules.DIGEST_MISSING, rules.DIGEST_LINK_BROKEN, rules.DIGEST_UNLINKED}
    assert covered == {rule for rule in rules.RULES if rule.startswith("digest-")} - by_neighbours


def test_findings_hold_what_was_compared() -> None:
    moved = CASES["another key"][0]()[0].findings[0]
    assert (moved.expected, moved.actual) == (f"s3://{BUCKET}/{SECOND.key}", f"s3://{BUCKET}/{FIRST.key}")
    algorithm = CASES["another algorithm in the metadata"][0]()[0].findings[0]
    assert (algorithm.expected, algorithm.actual) == ("SHA256withRSA", "SHA512withRSA")
    log_hash = CASES["another hash of a log, signed"][0]()[0].findings[0]
    assert (log_hash.expected, log_hash.actual) == ("SHA-256", "MD5")
    assert CASES["an unknown key, by a file"][0]()[0].findings[0].actual == signer(2).fingerprint


def test_two_flaws_are_two_findings() -> None:
    evidence, _ = look(fetch(SECOND, body=packed(edited(SECOND)) + b"x"))
    assert [finding.rule for finding in evidence.findings] == [
        rules.DIGEST_TRAILING_DATA,
        rules.DIGEST_SIGNATURE_INVALID,
    ]


def test_why_there_were_no_keys_is_passed_on() -> None:
    keys = RegionKeys(cause=Cause.NETWORK, detail="cloudtrail:ListPublicKeys in us-east-1: cannot connect")
    (finding,) = look(fetch(SECOND), keys)[0].findings
    assert (finding.cause, finding.detail, finding.status) == (Cause.NETWORK, keys.detail, UNVERIFIABLE)


def test_a_digest_that_cannot_be_read_is_unverifiable_for_the_hour_before_its_stamp() -> None:
    evidence = unreadable(HERE, CHAIN, START + HOUR, Cause.KMS_DENIED, "AccessDenied")
    (finding,) = evidence.findings
    assert (finding.rule, finding.status, finding.cause) == (rules.DIGEST_UNREADABLE, UNVERIFIABLE, Cause.KMS_DENIED)
    assert (finding.interval, finding.detail) == (Interval(START, START + HOUR), "AccessDenied")
    assert (evidence.own, evidence.starting) == (Own.UNUSABLE, False)


# -- what an edit must not reach --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "times",
    [
        ("1990-01-01T00:00:00Z", "1990-01-01T01:00:00Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
@pytest.mark.parametrize("metadata", ["own", None, {}])
def test_edited_times_do_not_move_a_digest_out_of_its_hour(
    times: tuple[str, str], metadata: Mapping[str, str] | None | str
) -> None:
    body = packed(edited(SECOND, digestStartTime=times[0], digestEndTime=times[1]))
    evidence, _ = look(fetch(SECOND, body=body, metadata=metadata))
    assert evidence.own in (Own.INVALID, Own.LOST)
    assert evidence.interval == Interval(START, START + HOUR)
    assert {finding.interval for finding in evidence.findings} <= {evidence.interval}


def test_edited_times_do_not_turn_an_unknown_key_from_altered_to_unverifiable() -> None:
    """CONTRACT: what editing the bucket alone can bring about must be altered."""
    times = {"digestStartTime": "1990-01-01T00:00:00Z", "digestEndTime": "1990-01-01T01:00:00Z"}
    body = packed(edited(SECOND, digestPublicKeyFingerprint="00" * 16, **times))
    (finding,) = look(fetch(SECOND, body=body), known(issuer=True))[0].findings
    assert (finding.rule, finding.status) == (rules.DIGEST_KEY_UNKNOWN, ALTERED)


def test_a_key_that_is_named_but_is_another_one_proves_nothing() -> None:
    """A key source that answers with a wrong key under the right name is not believed."""
    liar = PublicKey(signer().fingerprint, signer(1).public.der, START, START, None, "file")
    assert look(fetch(SECOND), known(liar))[0].own is Own.NO_KEY


def test_an_account_or_name_in_the_content_does_not_matter_for_the_chain() -> None:
    evidence, _ = look(fetch(resigned(awsAccountId="444455556666")))
    assert (evidence.own, evidence.chain) == (Own.VALID, CHAIN)


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
