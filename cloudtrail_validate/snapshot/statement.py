"""The signed statement: an in-toto Statement v1 in a DSSE envelope. Pure: values in, bytes out, and back.

in-toto/attestation spec/v1/statement.md and secure-systems-lab/dsse protocol.md and envelope.md. What is signed is the
pre-authentication encoding, not the JSON around it. An ECDSA signature is in DER, as cosign and KMS write it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from cloudtrail_validate.report import Report, Summary
from cloudtrail_validate.report.references import to_json
from cloudtrail_validate.snapshot.manifest import KEYS, REPORT, Manifest

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://github.com/ctvalidate/ctvalidate/attestation/snapshot/v1"
"""Names the predicate; it need not lead anywhere (docs/evidence.md says what is in it)."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature of an envelope. `keyid` is a hint: the SHA-256 of the public key (`signing.fingerprint`)."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A DSSE envelope. Unknown members are allowed, as the specification demands."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Hashes of a subject, hex."""

    sha256: str


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the statement is about, by its path in the snapshot."""

    name: str
    digest: Digest


class Verifier(msgspec.Struct, frozen=True, kw_only=True):
    """The program that validated."""

    name: str
    version: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open window, UTC."""

    start: datetime
    end: datetime


class Predicate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a validation found, in short. The report, which is a subject, says it at length.

    `signer` is the ARN of the key in KMS that signs, null for a key file.
    """

    verifier: Verifier
    time_created: datetime
    source: str
    trail_arn: str | None
    window: Span
    verdict: str
    exit_code: int
    summary: Summary
    files: int
    left_out: int
    signer: str | None


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto Statement."""

    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type", default=STATEMENT_TYPE)
    subject: tuple[Subject, ...]
    predicate_type: Literal["https://github.com/ctvalidate/ctvalidate/attestation/snapshot/v1"] = PREDICATE_TYPE
    predicate: Predicate


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: `DSSEv1 SP LEN(type) SP type SP LEN(payload) SP payload`, lengths in bytes, decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def state(manifest: Manifest, report: Report, files: Mapping[str, bytes]) -> bytes:
    """The statement's JSON about a snapshot. `files` are those that no manifest names, by name; the manifest is one."""
    listed = {file.path: file.sha256 for file in manifest.files}
    named = {name: listed[name] for name in (REPORT, KEYS)}
    named |= {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    subject = tuple(Subject(name=name, digest=Digest(sha256=named[name])) for name in sorted(named))
    return to_json(Statement(subject=subject, predicate=predicate(manifest, report))).encode("ascii")


def predicate(manifest: Manifest, report: Report) -> Predicate:
    """What is said of a snapshot."""
    return Predicate(
        verifier=Verifier(name=manifest.tool.name, version=manifest.tool.version),
        time_created=manifest.created,
        source=manifest.source,
        trail_arn=manifest.trail_arn,
        window=Span(start=manifest.window.start, end=manifest.window.end),
        verdict=str(report.verdict),
        exit_code=report.exit_code,
        summary=report.summary,
        files=len(manifest.files),
        left_out=len(manifest.left_out),
        signer=manifest.signer,
    )


def envelop(payload: bytes, signature: bytes, keyid: str) -> bytes:
    """The envelope's JSON, indented, with a closing newline. `signature` is raw, over `pre_authentication`."""
    made = Envelope(
        payload=base64.b64encode(payload).decode(),
        payload_type=PAYLOAD_TYPE,
        signatures=(Signature(sig=base64.b64encode(signature).decode(), keyid=keyid),),
    )
    return msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"


def open_envelope(data: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """The payload and the raw signatures of an envelope. Raises ValueError where it is none, or of another payload type."""
    envelope = msgspec.json.decode(data, type=Envelope)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"its payload is no in-toto statement but {envelope.payload_type[:100]!r}")
    return _decoded(envelope.payload), tuple(_decoded(signature.sig) for signature in envelope.signatures)


def read_statement(payload: bytes) -> Statement:
    """The statement in an envelope's payload. Raises ValueError where it is none of ours."""
    return msgspec.json.decode(payload, type=Statement)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("its base64 is none") from error
