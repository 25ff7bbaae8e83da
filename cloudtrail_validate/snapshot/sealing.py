"""Write what lies beside a manifest: checksum, time stamp, declaration, signature and signed statement, in this order.

Each speaks of those before it: the declaration of the time stamp, the statement of both. The manifest itself is written
last, since a folder with a manifest is a whole snapshot.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass

from cloudtrail_validate.aws.signing import Signer, fingerprint
from cloudtrail_validate.report import Report
from cloudtrail_validate.snapshot import declaration, signing, statement, timestamp
from cloudtrail_validate.snapshot.bundle import Bundle
from cloudtrail_validate.snapshot.manifest import (
    CHECKSUM,
    DECLARATION,
    MANIFEST,
    SIGNATURE,
    STATEMENT,
    TIMESTAMP,
    Manifest,
    checksum,
    encode,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom to ask for a time stamp: its URL, and how a request goes there (`authority.post` bound to the URL)."""

    url: str
    post: Callable[[bytes], bytes]


def seal(bundle: Bundle, manifest: Manifest, report: Report, signer: Signer | None, authority: Authority | None) -> str:
    """Finish a snapshot. Returns what came of the time stamp, empty where none was asked for. Raises `SnapshotError`."""
    data = encode(manifest)
    bundle.drop(TIMESTAMP, SIGNATURE, STATEMENT)  # of a run that came as far as this and no further
    bundle.write(CHECKSUM, checksum(data), note=False)
    beside = {MANIFEST: data}
    told, stamped = "", None
    if authority is not None:
        answered = timestamp.stamp(data, authority.post)
        told = answered.told
        if answered.token is not None:
            beside[TIMESTAMP] = answered.token
            stamped = declaration.Stamped(hashlib.sha256(answered.token).hexdigest(), authority.url)
            bundle.write(TIMESTAMP, answered.token, note=False)
    text = declaration.declare(manifest, report, hashlib.sha256(data).hexdigest(), stamped, ran_on=_this_computer())
    bundle.write(DECLARATION, text.encode("utf-8", "backslashreplace"), note=False)
    if signer is not None:
        bundle.write(SIGNATURE, signing.armoured(signing.as_of_snapshot(signer.sign, data)), note=False)
        payload = statement.state(manifest, report, beside)
        encoded = statement.pre_authentication(statement.PAYLOAD_TYPE, payload)
        signature = signing.as_of_snapshot(signer.sign, encoded)
        keyid = fingerprint(signer.public)
        bundle.write(STATEMENT, statement.envelop(payload, signature, keyid), note=False)
    bundle.write(MANIFEST, data, note=False)
    return told


def _this_computer() -> str:
    """The account and the computer, as the system names them: for a field that a person may change."""
    user = ""
    with contextlib.suppress(OSError, KeyError, ImportError):  # no such user, as in containers
        user = getpass.getuser()
    return " on ".join(filter(None, (user, platform.node(), platform.platform())))
