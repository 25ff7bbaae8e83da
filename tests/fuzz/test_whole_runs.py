"""Whole runs of the engine over spoilt buckets and spoilt answers: no verdict is kinder or harsher than it should be."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from cloudtrail_validate.core import layout, rules
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import digest_of
from cloudtrail_validate.core.model import Status
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.simulate import Delivery
from cloudtrail_validate.stores.s3_answers import Asked, NotS3Error, parse_page
from cloudtrail_validate.stores.transfer import Answer, Broken, TransferError
from tests.faults.every import CUSTOMER_KEY, HTML, XHTML
from tests.fuzz import material, wire
from tests.fuzz.drive import FACTOR, Way, drive
from tests.fuzz.mutate import Mutator
from tests.scenarios.world import Buckets, World

ACCUSING: Final = frozenset({Status.ALTERED, Status.MISSING, Status.EXTRA})
INVALID: Final[Mapping[str, tuple[str, ...]]] = {
    "log-altered": ("log-altered",),
    "log-missing": ("log-missing",),
    "log-extra": ("log-extra",),
    "digest-missing": ("digest-missing",),
    "digest-signature-invalid": ("digest-signature-invalid",),
    "digest-link-broken": ("digest-link-broken",),
}


def code_of(outcome: Outcome) -> int:
    return material.report_of(outcome).exit_code


def accused(outcome: Outcome) -> set[tuple[str, str | None]]:
    return {
        (finding.rule, finding.where.key if finding.where else None)
        for finding in outcome.findings.kept
        if finding.status in ACCUSING
    }


# The bucket is edited: by whoever may write to it, without CloudTrail's key.


@dataclass(frozen=True)
class Edited:
    """A bucket after edits: what was done, and whether it must be seen (`telling`) or accused (`grave`)."""

    of: World
    buckets: Buckets
    done: tuple[str, ...]
    telling: bool
    grave: bool


def edited(mutator: Mutator) -> Edited:
    """One object, or up to three, with other bytes, other metadata, gone, elsewhere, or beside themselves."""
    of = material.made(*mutator.of(list(INVALID.values()))) if mutator.maybe(0.3) else material.made()
    objects, done = dict(material.objects(of)), []
    number = mutator.one(1, 1, 2, 3)
    for _ in range(number):
        key = mutator.of([key for key in sorted(objects) if not key.endswith("/")])
        name, after = _edit(mutator, objects, key)
        objects = after
        done.append(f"{name} {key}")
    true, wrong = material.objects(of), {key for _, key in accused(undisturbed(of))}
    looked_at = [key for key in true if _inside(of, key) and key not in wrong]  # to mend what is wrong is no crime
    telling = [key for key in looked_at if _differs(true[key], objects.get(key))]
    grave = number == 1 and any(key in objects or not _last(of, key) for key in telling)
    return Edited(of, {of.spec.bucket: objects}, tuple(done), bool(telling), grave)


def _edit(mutator: Mutator, objects: dict[str, Delivery], key: str) -> tuple[str, dict[str, Delivery]]:
    held = objects[key]
    match mutator.chance.randrange(7):
        case 0:
            return "gone", {name: item for name, item in objects.items() if name != key}
        case 1:
            return "metadata", {**objects, key: replace(held, metadata=mutator.names(dict(held.metadata or {})))}
        case 2:
            return "bytes", {**objects, key: replace(held, body=mutator.data(held.body))}
        case 3:
            other = _encodable(mutator.key(key))
            return f"copied to {other!r}", {**objects, other: replace(held, key=other)}
        case 4:
            other = mutator.of([name for name in sorted(objects) if not name.endswith("/")])
            return f"overwritten by {other}", {**objects, key: replace(objects[other], key=key)}
        case _:
            try:
                content = mutator.json(material.content(held))
            except (ValueError, OSError, EOFError, zlib.error):  # what an edit before has spoilt
                content = b"{}"
            body = mutator.gzipped(content)
            return "content", {**objects, key: replace(held, body=body)}


def _encodable(key: str) -> str:
    return key.encode("utf-8", "replace").decode()[:1000] or "x"


def _inside(of: World, key: str) -> bool:
    """Whether an object is of the window: the digest that starts the chain is of the hour before it."""
    if material.is_log(key):
        return True
    found = layout.folder_of(of.spec.bucket, key)
    name = layout.parse_digest_key(found[0], key) if found else None
    return name is not None and name.end > of.start


def _last(of: World, key: str) -> bool:
    """Whether no other digest names this one, so that its absence is that of a digest that was never delivered."""
    digests = sorted(name for name in material.objects(of) if material.is_digest(name) and "_backfill" not in name)
    return key == digests[-1] or "_backfill" in key


def _differs(true: Delivery, now: Delivery | None) -> bool:
    """Whether an object says anything else than it did: its content, its container, or a digest's signature."""
    if now is None:
        return True
    names = ("signature", "signature-algorithm")
    lowered = [{name.lower(): value for name, value in (item.metadata or {}).items()} for item in (true, now)]
    if material.is_digest(true.key) and any(lowered[0].get(name) != lowered[1].get(name) for name in names):
        return _signature(lowered[0]) != _signature(lowered[1]) or lowered[1].get(names[1]) != lowered[0].get(names[1])
    one, other = digest_of(true.body), digest_of(now.body)
    return one != other


def _signature(metadata: Mapping[str, str]) -> str:
    return metadata.get("signature", "").lower()


def check_edited(case: Edited, outcome: Outcome | None) -> None:
    assert outcome is not None
    code = code_of(outcome)
    assert not any("internal" in str(finding.detail) for finding in outcome.findings.kept)
    before, now = material.objects(case.of), case.buckets[case.of.spec.bucket]
    stands = any(key is None or before.get(key) == now.get(key) for _, key in accused(undisturbed(case.of)))
    if case.telling or stands:  # what was planted may have been taken away again
        assert code != ExitCode.VALID, case.done
    # Keys out of a file may be too few (CONTRACT, `digest-key-unknown`); all else that only an edit can cause is a change.
    if case.grave and not any(finding.rule == rules.DIGEST_KEY_UNKNOWN for finding in outcome.findings.kept):
        assert code == ExitCode.CHANGED, case.done


def run_edited(case: Edited) -> Outcome:
    return material.validated(replace(case.of, buckets=case.buckets))[0]


def test_whatever_is_edited_in_a_bucket_is_seen() -> None:
    """Never valid where something is other than it was; and where that is proven by what is left, evidence of change."""
    assert drive(Way("edits", 1200, edited, run_edited, (), check_edited)) >= 1200


# The bucket is as it is, and answers are spoilt on their way.


def refused(mutator: Mutator) -> Answer:
    """An answer of S3's, or of whoever stands between, that is about no object."""
    code = mutator.of(
        ("NoSuchKey", "AccessDenied", "SlowDown", "InternalError", "RequestTimeTooSkewed", "ExpiredToken", "x", "")
    )
    message = mutator.one("no", CUSTOMER_KEY)
    body = mutator.one(material.refusal_xml(code, message), HTML, XHTML, b"", b"{}")
    status = mutator.of((200, 204, 206, 301, 307, 400, 403, 404, 409, 429, 500, 503))
    region = (b"x-amz-bucket-region: " + mutator.one(b"eu-west-1", b"nowhere", b"us-east-1"),)
    return Answer(status, region if mutator.maybe(0.3) else (), body, len(body))


def damaged(mutator: Mutator, url: str, true: Answer) -> Answer | TransferError:
    """What may become of an answer. Never another whole listing, nor other bytes of the same length and ETag: these
    would be S3's own word, and TLS keeps everybody else from saying it."""
    match mutator.chance.randrange(6):
        case 0:
            return TransferError("cut", mutator.one(*Broken))
        case 1 | 2:
            return refused(mutator)
        case 3:
            body = true.body[: mutator.chance.randrange(len(true.body) + 1)]
        case 4:
            lines = tuple(line for line in true.lines if not line.lower().startswith(b"etag"))
            extra = mutator.one((), (b'ETag: "other"',), (b"ETag:",), (b"etag: \xff",))
            return Answer(true.status, (*extra, *lines), true.body, true.size)
        case _:
            body = mutator.xml(true.body) if "?" in url else mutator.data(true.body)
    if body == true.body or ("?" not in url and len(body) == len(true.body)) or _is_listing(url, body):
        return TransferError("cut")
    return Answer(true.status, true.lines, body, len(body))


def _is_listing(url: str, body: bytes) -> bool:
    """Whether S3 itself could have listed this bucket so."""
    if "?" not in url:
        return False
    parts = urlsplit(url)
    asked = parse_qs(parts.query, keep_blank_values=True)
    try:
        parse_page(body, Asked(parts.path.strip("/"), asked["prefix"][0], "", delimited="delimiter" in asked))
    except NotS3Error:
        return False
    return True


@dataclass(frozen=True)
class Disturbed:
    """A trail, and answers that are spoilt: each with a chance, or from one on."""

    of: World
    seed: str
    share: float
    first: int
    lasting: bool

    def spoil(self) -> Callable[[str, Answer], Answer | TransferError]:
        mutator, number = Mutator(self.seed), 0

        def spoil(url: str, true: Answer) -> Answer | TransferError:
            nonlocal number
            number += 1
            hit = number == self.first or (number > self.first and (self.lasting or mutator.maybe(self.share)))
            return damaged(mutator, url, true) if hit else true

        return spoil


def disturbed(mutator: Mutator) -> Disturbed:
    of = material.made(*mutator.of(list(INVALID.values()))) if mutator.maybe(0.6) else material.made()
    seed = f"{mutator.chance.random()}"
    return Disturbed(of, seed, mutator.one(0.0, 0.05, 0.2), mutator.chance.randrange(1, 40), mutator.maybe(0.1))


def run_disturbed(case: Disturbed) -> Outcome:
    with wire.store(case.of.buckets, case.spoil()) as store:
        return material.validated(case.of, store)[0]


def check_disturbed(case: Disturbed, outcome: Outcome | None) -> None:
    if outcome is None:
        return  # nothing could be listed, and that was said
    true = undisturbed(case.of)
    wrongly = accused(outcome) - accused(true)
    assert not wrongly, sorted(wrongly, key=str)
    assert code_of(outcome) in (code_of(true), ExitCode.UNPROVEN)


def undisturbed(of: World) -> Outcome:
    if id(of) not in _UNDISTURBED:
        _UNDISTURBED[id(of)] = material.validated(of)[0]
    return _UNDISTURBED[id(of)]


_UNDISTURBED: dict[int, Outcome] = {}


@pytest.mark.parametrize("name", ["", *INVALID])
def test_the_wire_without_damage_tells_what_the_memory_does(name: str) -> None:
    """Else the fuzz would try a bucket that no trail has."""
    of = material.made(*INVALID.get(name, ()))
    with wire.store(of.buckets, lambda _, answer: answer) as store:
        outcome = material.validated(of, store)[0]
    assert outcome.findings == undisturbed(of).findings
    assert code_of(outcome) == (1 if name else 0)


def test_spoilt_answers_neither_accuse_nor_hide() -> None:
    """A valid trail stays valid or becomes unproven; one that is not stays so, or unproven, and nothing else is accused."""
    errors = (StoreError, AbsentError)
    assert drive(Way("answers", 1200, disturbed, run_disturbed, errors, check_disturbed)) == 1200 * FACTOR
