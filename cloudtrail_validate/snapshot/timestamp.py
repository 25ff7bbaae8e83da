"""RFC 3161 time stamps over a manifest: asked for, kept, and checked as far as that can be done here.

A time stamp says that the manifest existed at a time, by the word of an authority. It never changes a verdict or an exit
code: it is worth what its authority is worth to whoever reads it. rfc3161-client (an extra) reads and verifies it; where
it refuses to, as it does answers whose certificates are not in the order that DER wants, the token is kept as it came and
the `openssl ts -verify` line is told instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.shell import command_line
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.snapshot.manifest import MANIFEST, TIMESTAMP, SnapshotError
from cloudtrail_validate.snapshot.signing import read_pem

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

EXTRA: Final = "pip install 'ctvalidate[timestamp]'"
MOST_BYTES: Final = 256 * 1024  # of an answer; 3 to 10 kB with its chain of certificates
_GRANTED: Final = frozenset({0, 1})  # RFC 3161, 2.4.2: granted, grantedWithMods
_REFUSALS: Final = {2: "rejection", 3: "waiting", 4: "revocationWarning", 5: "revocationNotification"}
_MOST_AUTHORITIES: Final = 4 * 1024 * 1024  # bytes; all that a system trusts take 0.2 MB
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_CA_PLACEHOLDER: Final = "tsa-ca.pem"

T = TypeVar("T")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is worth, in words; `proven` where its signature leads to an authority that was given.

    `command` is the line that checks it with OpenSSL, None where it cannot be pasted safely.
    """

    told: str
    proven: bool
    command: str | None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking an authority: its answer as it came, to be kept, or None; and what to say of it."""

    token: bytes | None
    told: str


class _Token(NamedTuple):
    """What was read of an answer. `imprint` is empty where it is of another hash than SHA-256."""

    response: TimeStampResponse
    nonce: int | None
    imprint: bytes
    time: str
    by: str


class _UnreadableError(Exception):
    """The parser refuses the token, which other programs may read."""


def check_url(url: str) -> str:
    """The URL of an authority, where one can be asked. Plain HTTP is usual: the token is signed. Raises `SnapshotError`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not (url.isascii() and url.isprintable() and " " not in url):
        raise SnapshotError("--timestamp: expected a URL of an RFC 3161 authority such as http://tsa.example.com/tsr")
    if parts.username is not None or parts.password is not None:
        raise SnapshotError("--timestamp: expected a URL without a password: it is written into the declaration")
    return url


def demand_reader() -> ModuleType:
    """Return rfc3161-client. Raises `SnapshotError` where it is not installed."""
    library = _library()
    if library is None:
        raise SnapshotError(f"--timestamp: this needs rfc3161-client: {EXTRA}")
    return library


def stamp(data: bytes, post: Callable[[bytes], bytes]) -> Answered:
    """Ask for a token over `data`. `post` sends a request and returns the answer, or raises `SnapshotError`."""
    library = demand_reader()
    request = library.TimestampRequestBuilder(data=data, hash_algorithm=library.HashAlgorithm.SHA256).build()
    try:
        answer = post(request.as_bytes())
    except SnapshotError as error:
        return Answered(token=None, told=f"no time stamp: {error}")
    status = _status(answer)
    if status is None:
        return Answered(token=None, told="no time stamp: the answer is no RFC 3161 response")
    if status not in _GRANTED:
        return Answered(token=None, told=f"no time stamp: the authority refused ({_REFUSALS.get(status, status)})")
    try:
        token = _parse(library, answer)
    except _UnreadableError as error:
        return Answered(token=answer, told=f"time stamp kept, not read: {error}")
    if token.nonce != request.nonce or token.imprint != hashlib.sha256(data).digest():
        return Answered(token=None, told="no time stamp: the answer is to another request")
    return Answered(token=answer, told=f"time stamp of {token.time} by {token.by}")


def check(answer: bytes, data: bytes, root: Path, authorities: Path | None) -> Checked:
    """What the token in `root` is worth for `data`. `authorities` is the PEM file of certificates to trust, if any.

    Raises `SnapshotError` for a file of certificates that is none; whatever is wrong with the token is told.
    """
    trusted = load_authorities(authorities) if authorities else []
    place, ca = str(root / TIMESTAMP), str(authorities or _CA_PLACEHOLDER)
    words = ("openssl", "ts", "-verify", "-digest", hashlib.sha256(data).hexdigest(), "-in", place, "-CAfile", ca)
    command = command_line(*words, values=(place, ca))
    told, proven = _check(answer, data, trusted)
    return Checked(told=told, proven=proven, command=command)


def load_authorities(path: Path) -> list[Certificate]:
    """The certificates in a PEM file. Raises `SnapshotError`."""
    try:
        return load_pem_x509_certificates(read_pem(path, "--timestamp-ca", _MOST_AUTHORITIES))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SnapshotError(f"--timestamp-ca: expected certificates in PEM, {path} holds none") from error


def _check(answer: bytes, data: bytes, trusted: list[Certificate]) -> tuple[str, bool]:
    library = _library()
    if library is None:
        return f"not checked here, for want of rfc3161-client ({EXTRA})", False
    if _status(answer) not in _GRANTED:
        return f"{TIMESTAMP} holds no granted time stamp", False
    try:
        token = _parse(library, answer)
    except _UnreadableError as error:
        return f"kept, not checked here: {error}", False
    if token.imprint != hashlib.sha256(data).digest():
        return f"is of something else than {MANIFEST}", False
    if not trusted:
        return f"says {token.time}, by {token.by}; whose word that is was not checked: give --timestamp-ca", False
    why = _refused(library, token.response, data, trusted)
    return (f"is not proven by --timestamp-ca: {why}", False) if why else (f"{token.time}, by {token.by}", True)


def _refused(library: ModuleType, token: TimeStampResponse, data: bytes, trusted: list[Certificate]) -> str:
    """Why the token's signature does not lead to a trusted certificate; empty where it does."""
    roots = [one for one in trusted if one.subject == one.issuer]
    builder = library.VerifierBuilder(roots=roots or trusted, intermediates=[x for x in trusted if x not in roots])
    try:
        _guarded(lambda: builder.build().verify(token, hashlib.sha256(data).digest()))
    except _UnreadableError as error:
        return str(error)
    return ""


def _parse(library: ModuleType, answer: bytes) -> _Token:
    """What an answer says. Raises `_UnreadableError`."""

    def read() -> _Token:
        response: TimeStampResponse = library.decode_timestamp_response(answer)
        info, imprint = response.tst_info, response.tst_info.message_imprint
        of_ours = imprint.hash_algorithm.dotted_string == _SHA256
        time = isoformat(info.gen_time)
        return _Token(response, info.nonce, imprint.message if of_ours else b"", time, _authority(response))

    try:
        return _guarded(read)
    except _UnreadableError as error:
        raise _UnreadableError(f"rfc3161-client refuses it ({error})") from error


def _authority(token: TimeStampResponse) -> str:
    """The name of whoever signed, as the certificate beside the signature says it."""
    (signer,) = token.signed_data.signer_infos
    for der in token.signed_data.certificates:
        held = load_der_x509_certificate(der)
        if held.issuer == signer.issuer and held.serial_number == signer.serial_number:
            return printable(held.subject.rfc4514_string()[:200])
    return "an authority whose certificate is not in it"


def _guarded(read: Callable[[], T]) -> T:
    """What a parser makes of hostile bytes. Whatever it raises becomes `_UnreadableError`, in one line.

    Two libraries in Rust read a token lazily: beside ValueError they let out KeyError, for a text of a sort that X.509 does
    not know, and may panic, which is no `Exception`.
    """
    try:
        return read()
    except Exception as error:
        raise _UnreadableError(_reason(error)) from error
    except BaseException as panic:
        if type(panic).__module__ != "pyo3_runtime":
            raise
        raise _UnreadableError(_reason(panic)) from panic


def _reason(error: BaseException) -> str:
    told = " ".join(str(error).split())[:120]
    return printable(told if isinstance(error, ValueError) and told else f"{type(error).__name__}: {told}")


def _status(answer: bytes) -> int | None:
    """The PKIStatus of a response that is one DER value (RFC 3161, 2.4.2), or None where the bytes are none."""
    outer = _value(answer, 0x30)
    if outer is None or outer[1] != len(answer):
        return None
    inner = _value(answer[outer[0] : outer[1]], 0x30)
    if inner is None:
        return None
    head = answer[outer[0] + inner[0] : outer[0] + inner[1]]
    number = _value(head, 0x02)
    return head[number[0]] if number is not None and number[1] - number[0] == 1 else None


def _value(data: bytes, tag: int) -> tuple[int, int] | None:
    """Where the content of a DER value with this tag, at the start of `data`, begins and ends."""
    if len(data) < 2 or data[0] != tag:
        return None
    length, begin = data[1], 2
    if length >= 0x80:
        begin += length & 0x7F
        if not 1 <= length & 0x7F <= 4:
            return None
        length = int.from_bytes(data[2:begin])
    return (begin, begin + length) if begin + length <= len(data) else None


def _library() -> ModuleType | None:
    try:
        import rfc3161_client  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return rfc3161_client
