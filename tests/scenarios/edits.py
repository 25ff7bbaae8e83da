"""What a vector does to single objects after delivery."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.simulate import Delivery, Role
from cloudtrail_validate.simulate.digests import SIGNATURE, signed
from cloudtrail_validate.simulate.events import compress
from tests.scenarios import vector as v
from tests.scenarios.keys import signer

Objects = MutableMapping[str, Delivery]


def apply(edit: v.AnyEdit, objects: Objects, name: Callable[[str], str], late: datetime) -> None:
    """Do one edit to the objects of a bucket. `late` is when something is written that has no time of its own.

    Raises KeyError where the object is not there, and ValueError where the edit changes nothing: a vector that tests
    nothing.
    """
    key = name(edit.key)
    match edit:
        case v.Delete():
            del objects[key]
        case v.Put():
            body = compress(edit.text.encode()) if edit.gzip else edit.text.encode()
            objects[key] = Delivery(key, body, edit.at or late, Role.LOG, metadata=edit.metadata)
        case v.Copy():
            objects[key] = replace(objects[name(edit.source)], key=key)
        case v.Metadata() | v.Unreadable() | v.Written() | v.Sign():
            objects[key] = _attributed(edit, objects[key])
        case v.Name():
            objects[key] = _signed_again(objects[key], {"logFiles": _naming(objects, key, map(name, edit.logs))})
        case _:
            old = objects[key]
            objects[key] = replace(old, body=_body(edit, old.body))
            if objects[key] == old:
                raise ValueError(f"expected an edit that changes something: {edit}")


def _attributed(edit: v.Metadata | v.Unreadable | v.Written | v.Sign, old: Delivery) -> Delivery:
    match edit:
        case v.Metadata():
            merged = {**(old.metadata or {}), **edit.set}
            return replace(old, metadata={name: value for name, value in merged.items() if value is not None})
        case v.Unreadable():
            return replace(old, unreadable=True)
        case v.Written():
            return replace(old, delivered=edit.at)
        case v.Sign():
            return _signed_again(old, edit.set)
        case _:
            assert_never(edit)


def _body(edit: v.Append | v.Truncate | v.Flip | v.Replace | v.Inflate, old: bytes) -> bytes:
    match edit:
        case v.Append():
            return old + (compress(edit.text.encode()) if edit.gzip else edit.text.encode())
        case v.Truncate():
            return old[: edit.bytes]
        case v.Flip():
            changed = bytearray(old)
            changed[edit.byte] ^= edit.mask
            return bytes(changed)
        case v.Replace():
            return compress(gzip.decompress(old).replace(edit.old.encode(), edit.new.encode()))
        case v.Inflate():
            return gzip.decompress(old)
        case _:
            assert_never(edit)


def _naming(objects: Objects, digest: str, logs: Iterable[str]) -> list[dict[str, str]]:
    """A digest's list of logs, with these at its end."""
    record = json.loads(gzip.decompress(objects[digest].body))
    more = [(log, hashlib.sha256(gzip.decompress(objects[log].body)).hexdigest()) for log in logs]
    reference = {"s3Bucket": record["digestS3Bucket"], "hashAlgorithm": "SHA-256"}
    return [*record["logFiles"], *({**reference, "s3Object": log, "hashValue": sha256} for log, sha256 in more)]


def _signed_again(old: Delivery, fields: Mapping[str, object]) -> Delivery:
    record = {**json.loads(gzip.decompress(old.body)), **fields}
    interval = Interval(old.delivered, old.delivered)  # not part of what is signed
    digest = signed(record, signer(record["digestPublicKeyFingerprint"]), interval=interval, delivered=old.delivered)
    metadata = {**(old.metadata or {}), SIGNATURE: digest.signature}
    return replace(old, body=compress(digest.content), metadata=metadata)
