"""The state as the bytes that are kept.

A file is a line `ctvalidate.state/1`, a line with the SHA-256 of the content, a line with a signature or `unsigned`, and the
content: msgpack, deflated. The signature (algorithm, SHA-256 of the public key, base64) is over the first line, the file's
name among those of the state and the second line, a line feed behind each. An hour of an account-region costs ~50 bytes (32
of them a hash, which nothing compresses), a whole day the same: about 15 kB an account-region and year.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

import msgspec

from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.state.bounds import fault_of
from cloudtrail_validate.state.model import State
from cloudtrail_validate.state.signing import Signature, Verifier, key_of

INDEX: Final = "index.state"  # the only file of a state, or the one that names the others
UNSIGNED: Final = b"unsigned"
SCHEMA: Final = "ctvalidate.state/1"
MAX_BYTES: Final = 256 * 1024 * 1024  # of a state: 2.5 times that of 200 accounts x 17 regions x a year
MAX_INFLATED: Final = 512 * 1024 * 1024  # of its content, which hashes keep from deflating to less than half


class Vouched(msgspec.Struct, frozen=True):
    """A state as it was read. `signed` is the SHA-256 of the key that it says it was signed with; `checked`: it was."""

    state: State
    signed: str | None
    checked: bool


def encode(state: State, file: str = INDEX, signer: Signature | None = None) -> bytes:
    """The bytes that are kept under the name `file`. Raises `ConfigurationError`: they are too many, or cannot be signed."""
    content = msgspec.msgpack.encode(state)
    body = zlib.compress(content, 6)
    if len(content) > MAX_INFLATED or len(body) > MAX_BYTES:
        raise ConfigurationError(f"--state: {len(body):,} bytes are too many for one file: expected a folder, DIR/")
    digest = hashlib.sha256(body).hexdigest()
    line = signer.sign(_signed_text(file, digest)) if signer is not None else UNSIGNED
    return b"\n".join((SCHEMA.encode(), digest.encode(), line, body))


def decode(data: bytes, name: str, file: str = INDEX, verifier: Verifier | None = None) -> State:
    """Read a state that must be signed with the verifier's key, or not at all where there is none.

    `name` is what messages call it, `file` its name among the files of the state. Raises `ConfigurationError` in one line:
    another version, one flipped byte, cut short, no state, not signed, signed by another.
    """
    vouched = read(data, name, file, verifier)
    if vouched.signed is not None and not vouched.checked:
        raise ConfigurationError(f"--state: {name} is signed: expected --state-sign-with and its key")
    return vouched.state


def read(data: bytes, name: str, file: str = INDEX, verifier: Verifier | None = None) -> Vouched:
    """Read a state as `decode` does, one that is signed without its key as well: to show it, never to go by it."""
    header, _, rest = data.partition(b"\n")
    if header != SCHEMA.encode():
        if header.startswith(b"ctvalidate.state/") and len(header) < 40:
            version = printable(header.decode("ascii", "replace"))
            raise ConfigurationError(f"--state: {name} is from another version of ctvalidate ({version})")
        raise ConfigurationError(f"--state: {name} is no state of ctvalidate")
    digest, _, rest = rest.partition(b"\n")
    line, _, body = rest.partition(b"\n")
    if digest != hashlib.sha256(body).hexdigest().encode():
        raise ConfigurationError(f"--state: {name} is damaged: its checksum does not fit")
    by = key_of(line)
    if by is None and line != UNSIGNED:
        raise ConfigurationError(f"--state: {name} is damaged: its third line is no signature")
    if verifier is not None and not verifier.verifies(line, _signed_text(file, digest.decode())):
        what = (
            "is not signed (`ctvalidate state sign` signs it)"
            if by is None
            else f"is not signed with this key, or not as it was signed (key {by})"
        )
        raise ConfigurationError(f"--state: {name} {what}")
    return Vouched(_inflate(body, name), by, verifier is not None)


def _inflate(body: bytes, name: str) -> State:
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(body, MAX_INFLATED)
        if inflater.unconsumed_tail:
            raise ConfigurationError(f"--state: {name} is too large")
        if not inflater.eof or inflater.unused_data:
            raise ConfigurationError(f"--state: {name} is damaged: it has no end, or more behind it")
        state = msgspec.msgpack.decode(content, type=State)
    except (zlib.error, msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"--state: {name} is damaged: {printable(str(error))}") from error
    fault = fault_of(state)
    if fault is not None:
        raise ConfigurationError(f"--state: {name} is damaged: {fault} cannot be")
    return state


def _signed_text(file: str, digest: str) -> bytes:
    return f"{SCHEMA}\n{file}\n{digest}\n".encode()
