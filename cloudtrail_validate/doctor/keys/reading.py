"""Checks of what a validation needs: readable files, and CloudTrail's public keys."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.text import plural
from cloudtrail_validate.doctor import asks
from cloudtrail_validate.doctor.facts import Facts, Read
from cloudtrail_validate.doctor.model import Answer, Axis, Check, Subject, Unread, bad, ok, unknown, weak, worst


def judge_decrypt(facts: Facts) -> Answer:
    """Whether a digest and a log of the last day can be read."""
    return worst(
        [_read(facts.bucket.digest, "digest"), _read(facts.bucket.log, "log")],
        "a digest and a log of the last day were read",
    )


def _read(read: Read | Unread, what: str) -> Answer:
    if isinstance(read, Unread):
        return unknown(read)
    if not read.key:
        return unknown(f"no {what} of the last day to try it on")
    if read.failure is None:
        return ok("")
    said = f"{read.key} could not be read: {read.failure}"
    match read.failure.cause:
        case Cause.KMS_DENIED:
            return bad(said)
        case Cause.ARCHIVED:
            return weak(said)
        case _:
            return unknown(said, read.failure)


def judge_listable(facts: Facts) -> Answer:
    """Whether CloudTrail tells its public keys of every region that digests come from."""
    known = facts.public_keys
    if not known:
        return unknown("no region was asked")
    denied = [fact for fact in known.values() if isinstance(fact, Unread) and fact.denied]
    silent = [region for region, fact in known.items() if isinstance(fact, Unread) and not fact.denied]
    empty = [region for region, fact in known.items() if fact == 0]
    return worst(
        [
            *([unknown(*denied)] if denied else []),
            *([weak(f"no answer in {', '.join(silent)}: {known[silent[0]]}")] if silent else []),
            *([weak(f"no key of the last 30 days in {', '.join(empty)}")] if empty else []),
        ],
        f"the public keys of {plural(len(known), 'region')} are told",
    )


READING: Final = (
    Check(
        id="kms-decrypt",
        subject=Subject.KEYS,
        axes=(Axis.NOTICE,),
        title="Digests and logs can be read and decrypted",
        asks=(*asks.TRAIL, asks.LIST_OBJECTS, asks.GET_OBJECT),
        finds="bad: KMS refuses to decrypt; weak: a file is in an archive class; unknown: denied, or none to read",
        why="What cannot be decrypted cannot be proven: validation reports every log as unverifiable, tampered or not.",
        remedy=(
            "# Allow kms:Decrypt on the key, in the identity's policy and, from another account, in the key's:",
            "ctvalidate policy --kind key --trail-arn {trail} --last 24h",
        ),
        judge=judge_decrypt,
    ),
    Check(
        id="keys-listable",
        subject=Subject.KEYS,
        axes=(Axis.NOTICE,),
        title="CloudTrail's public keys are told everywhere",
        asks=(*asks.TRAIL, asks.LIST_PUBLIC_KEYS, asks.LIST_REGIONS, asks.DESCRIBE_REGIONS),
        finds="weak: a region gives no answer (it is not enabled for the caller's account) or no key",
        why="Digests of such a region can be proven only with keys that were exported from an account that has it enabled.",
        remedy=(
            "# In an account that has the region enabled, and then --public-keys keys.json here:",
            "ctvalidate keys export --last 90d --output keys.json",
        ),
        judge=judge_listable,
    ),
)
