"""One digest on its own: the one finding for each way in which it can be wrong, and what an edit must not reach."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import MAX_DIGEST_BYTES, SignatureStatus, unreadable
from cloudtrail_validate.core.gzip import Flaw
from cloudtrail_validate.core.model import HOUR, Cause, Interval, Locator, Status
from cloudtrail_validate.core.signature import PublicKey, RegionKeys
from cloudtrail_validate.simulate.digests import SignedDigest, signed

from .helpers import (
    ACCOUNT,
    BUCKET,
    CHAIN,
    REGION,
    START,
    edited,
    fetch,
    known,
    log,
    look,
    make,
    packed,
    pair,
    public,
    signer,
    where,
)

FIRST, SECOND = pair()
HERE = where(SECOND)
ALTERED, UNVERIFIABLE = Status.ALTERED, Status.UNVERIFIABLE
LATER = Interval(START + timedelta(days=40), START + timedelta(days=70))


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
    ids=lambda value: value if isinstance(value, str) else "body",
)
def test_a_container_or_text_that_is_no_digest_is_malformed(body: bytes, detail: str) -> None:
    assert detail in check_broken(body)


def check_broken(body: bytes) -> str:
    """The one finding of something that is no digest, whose hours are known by its key alone; returns the detail."""
    evidence, logs = look(fetch(SECOND, body=body))
    assert (evidence.own, evidence.previous, logs, evidence.starting) == (SignatureStatus.UNUSABLE, None, (), False)
    (finding,) = evidence.findings
    assert (finding.rule, finding.status, finding.where) == (rules.DIGEST_MALFORMED, ALTERED, HERE)
    assert finding.interval == evidence.interval == Interval(START, START + HOUR)
    return finding.detail or ""


def unpublished() -> SignedDigest:
    return make(START + HOUR, previous=FIRST, logs=[log()], key=signer(2))


Case = tuple[Callable[[], Any], SignatureStatus, str, Status]
CASES: dict[str, Case] = {
    "a log dropped from the list": (
        lambda: look(fetch(SECOND, body=packed(edited(SECOND, logFiles=[])))),
        SignatureStatus.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "the same JSON written otherwise": (
        lambda: look(fetch(SECOND, body=packed(edited(SECOND)))),
        SignatureStatus.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "a signature that is no hex": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature": "no hex"})),
        SignatureStatus.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "an empty signature": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature": ""})),
        SignatureStatus.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "another digest's signature": (
        lambda: look(fetch(SECOND, metadata=FIRST.metadata)),
        SignatureStatus.INVALID,
        rules.DIGEST_SIGNATURE_INVALID,
        ALTERED,
    ),
    "no metadata": (
        lambda: look(fetch(SECOND, metadata={})),
        SignatureStatus.ABSENT,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "no signature in the metadata": (
        lambda: look(fetch(SECOND, metadata={"signature-algorithm": "SHA256withRSA"})),
        SignatureStatus.ABSENT,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "a signature without its algorithm": (
        lambda: look(fetch(SECOND, metadata={"signature": SECOND.signature})),
        SignatureStatus.VALID,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "a wrong signature without its algorithm": (
        lambda: look(fetch(SECOND, metadata={"signature": FIRST.signature})),
        SignatureStatus.ABSENT,
        rules.DIGEST_SIGNATURE_MISSING,
        ALTERED,
    ),
    "another algorithm in the metadata": (
        lambda: look(fetch(SECOND, metadata=SECOND.metadata | {"signature-algorithm": "SHA512withRSA"})),
        SignatureStatus.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another algorithm in the digest, signed": (
        lambda: look(fetch(resigned(digestSignatureAlgorithm="MD5withRSA"))),
        SignatureStatus.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another hash of the predecessor, signed": (
        lambda: look(fetch(resigned(previousDigestHashAlgorithm="MD5"))),
        SignatureStatus.UNSUPPORTED,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "another hash of a log, signed": (
        lambda: look(fetch(resigned(logFiles=[reference() | {"hashAlgorithm": "MD5"}]))),
        SignatureStatus.VALID,
        rules.DIGEST_ALGORITHM_UNSUPPORTED,
        ALTERED,
    ),
    "an unknown key, by a file": (
        lambda: look(fetch(unpublished())),
        SignatureStatus.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        UNVERIFIABLE,
    ),
    "an unknown key, by the issuer, who has others of that time": (
        lambda: look(fetch(unpublished()), known(issuer=True)),
        SignatureStatus.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        ALTERED,
    ),
    "an unknown key, by the issuer, who has none of that time": (
        lambda: look(fetch(unpublished()), known(public(signer(), LATER), issuer=True)),
        SignatureStatus.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        UNVERIFIABLE,
    ),
    "no key at all": (
        lambda: look(fetch(SECOND), RegionKeys()),
        SignatureStatus.NO_KEY,
        rules.DIGEST_KEY_UNKNOWN,
        UNVERIFIABLE,
    ),
    "bytes after the member": (
        lambda: look(fetch(SECOND, body=packed(SECOND.content) + b"x")),
        SignatureStatus.VALID,
        rules.DIGEST_TRAILING_DATA,
        ALTERED,
    ),
    "a second member": (
        lambda: look(fetch(SECOND, body=packed(SECOND.content) * 2)),
        SignatureStatus.VALID,
        rules.DIGEST_TRAILING_DATA,
        ALTERED,
    ),
    "another key": (
        lambda: look(fetch(SECOND, at=Locator(BUCKET, FIRST.key))),
        SignatureStatus.UNUSABLE,
        rules.DIGEST_MOVED,
        ALTERED,
    ),
    "another bucket": (
        lambda: look(fetch(SECOND, at=Locator("amzn-s3-demo-bucket2", SECOND.key))),
        SignatureStatus.UNUSABLE,
        rules.DIGEST_MOVED,
        ALTERED,
    ),
    "another place in a local copy": (
        lambda: look(fetch(SECOND, at=Locator("", FIRST.key))),
        SignatureStatus.UNUSABLE,
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
    assert (evidence.own, evidence.starting) == (SignatureStatus.UNUSABLE, False)


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
    times: tuple[str, str], metadata: Mapping[str, str] | str | None
) -> None:
    body = packed(edited(SECOND, digestStartTime=times[0], digestEndTime=times[1]))
    evidence, _ = look(fetch(SECOND, body=body, metadata=metadata))
    assert evidence.own in (SignatureStatus.INVALID, SignatureStatus.ABSENT)
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
    assert look(fetch(SECOND), known(liar))[0].own is SignatureStatus.NO_KEY


def test_an_account_or_name_in_the_content_does_not_matter_for_the_chain() -> None:
    evidence, _ = look(fetch(resigned(awsAccountId="444455556666")))
    assert (evidence.own, evidence.chain) == (SignatureStatus.VALID, CHAIN)
