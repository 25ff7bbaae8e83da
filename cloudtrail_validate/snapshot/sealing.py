"""Write what lies beside a manifest: checksum, time stamp, declaration, signature and signed statement, in this order.

Each speaks of those before it: the declaration of the time stamp, the statement of both. The manifest itself is written
last, since a folder with a manifest is a whole snapshot.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cloudtrail_validate.aws.signing import Signer, fingerprint, public_pem
from cloudtrail_validate.report import Report
from cloudtrail_validate.report.json import render
from cloudtrail_validate.runtime.clock import now_utc
from cloudtrail_validate.snapshot import declaration, signing, statement, timestamp
from cloudtrail_validate.snapshot.bundle import Bundle
from cloudtrail_validate.snapshot.copying import Tee
from cloudtrail_validate.snapshot.manifest import (
    CHECKSUM,
    DECLARATION,
    KEYS,
    MANIFEST,
    PUBLIC_KEY,
    REPORT,
    SIGNATURE,
    STATEMENT,
    TIMESTAMP,
    KeyAnswer,
    Manifest,
    SnapshotError,
    Window,
    checksum,
    encode,
    in_order,
)
from cloudtrail_validate.stores.key_file import write_keys

if TYPE_CHECKING:
    from cloudtrail_validate.core.plan import Target
    from cloudtrail_validate.core.signature import RegionKeys
    from cloudtrail_validate.lake import Place


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom to ask for a time stamp: its URL, and how a request goes there (`authority.post` bound to the URL)."""

    url: str
    post: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a snapshot answers, for its manifest: see `Manifest`. `asked` is when."""

    target: Target
    window: Window
    trail_arn: str | None
    tolerate: frozenset[str]
    queries: Place | msgspec.UnsetType = msgspec.UNSET


class SnapshotTaker:
    """Makes a snapshot of what something reads through `_tee`, which a subclass puts before a store.

    `failure` is why copying ended early, if it did; `stamped` what came of the time stamp, empty where none was asked for.
    """

    def __init__(self, bundle: Bundle, signer: Signer | None = None, authority: Authority | None = None) -> None:
        self.stamped = ""
        self._bundle = bundle
        self._signer = signer
        self._authority = authority
        self._tee: Tee | None = None

    @property
    def failure(self) -> SnapshotError | None:
        """What hindered the copying; the snapshot is unfinished then."""
        return self._tee.failure if self._tee else None

    def _end(self, tee: Tee, answers: Mapping[str, RegionKeys], report: Report, question: Question) -> Manifest:
        """Write keys, report and manifest, signed where there is a key, and end the snapshot.

        Raises `SnapshotError`, also where copying had failed.
        """
        if tee.failure is not None:
            raise SnapshotError(str(tee.failure))
        bundle, signer = self._bundle, self._signer
        public = signer.public if signer else None
        with bundle.lock:
            bundle.write(KEYS, write_keys(key for answer in answers.values() for key in answer.keys.values()))
            bundle.write(REPORT, render(report).encode())
            if public is not None:
                bundle.write(PUBLIC_KEY, public_pem(public))
            else:
                bundle.drop(PUBLIC_KEY)
        bundle.prune()
        manifest = Manifest(
            tool=report.tool,
            created=now_utc(),
            trail_arn=question.trail_arn,
            source=report.request.source,
            bucket=question.target.bucket,
            request=report.request,
            window=question.window,
            tolerate=tuple(sorted(question.tolerate)),
            target=question.target,
            queries=question.queries,
            keys=tuple(
                KeyAnswer(region=region, issuer=answer.issuer, cause=answer.cause, detail=answer.detail)
                for region, answer in sorted(answers.items())
            ),
            signed_by=fingerprint(public) if public else None,
            signer=signer.place if signer else None,
            files=in_order(bundle.held.values()),
            left_out=tuple(tee.left_out[where] for where in sorted(tee.left_out)),
        )
        self.stamped = seal(bundle, manifest, report, signer, self._authority)
        bundle.finish()
        return manifest


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
