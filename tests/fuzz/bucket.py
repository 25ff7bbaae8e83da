"""Cases of what S3 answers and what lies in a bucket, and what must hold of what comes of them."""

from __future__ import annotations

import hashlib
import json
import zlib
from itertools import pairwise
from typing import Any, Final
from unittest import mock

from cloudtrail_validate.core import digest, layout, trouble
from cloudtrail_validate.core.activity import explaining_events
from cloudtrail_validate.core.errors import AbsentError, StoreError
from cloudtrail_validate.core.gzip import Content, Flaw, Inflater, digest_of, digest_of_pieces
from cloudtrail_validate.core.model import Locator, Status
from cloudtrail_validate.core.signature import parse_signature
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.evidence import events
from cloudtrail_validate.stores import s3_answers
from cloudtrail_validate.stores.s3_answers import Asked, NotS3Error, Page
from cloudtrail_validate.stores.transfer import Answer
from tests.fuzz import material
from tests.fuzz.mutate import Mutator

_CODES: Final = (
    *("NoSuchKey", "NoSuchBucket", "AccessDenied", "SlowDown", "InternalError", "ExpiredToken", "PermanentRedirect"),
    *("RequestTimeTooSkewed", "InvalidObjectState", "KMS.DisabledException", "InvalidRequest", "SignatureDoesNotMatch"),
)
_STATUSES: Final = (100, 200, 204, 206, 301, 304, 307, 400, 403, 404, 405, 409, 412, 416, 429, 500, 503, 999)


# S3's answers.


def a_page(mutator: Mutator) -> tuple[bytes, Asked]:
    of = material.made()
    held = sorted(material.objects(of).items())
    prefix = mutator.one("", "AWSLogs/", held[-1][0][:40])
    listed = [item for item in held if item[0].startswith(prefix)][:12]
    if mutator.maybe(0.3):
        body = material.page_xml(of.spec.bucket, "AWSLogs/", [], tuple(f"AWSLogs/{n}/" for n in ("1", "2", "3")))
        return mutator.xml(body), Asked(of.spec.bucket, "AWSLogs/", delimited=True)
    return mutator.xml(material.page_xml(of.spec.bucket, prefix, listed)), Asked(of.spec.bucket, prefix)


def read_page(case: tuple[bytes, Asked]) -> Page:
    """Read a page, quickly and as XML throughout: to the same end."""
    with mock.patch.object(s3_answers, "_row", return_value=None):
        try:
            slowly: Page | str = s3_answers.parse_page(*case)
        except NotS3Error as error:
            slowly = str(error)
    try:
        page = s3_answers.parse_page(*case)
    except NotS3Error:
        assert isinstance(slowly, str)  # refused either way
        raise
    assert page == slowly
    return page


def check_page(case: tuple[bytes, Asked], page: Page | None) -> None:
    """What is taken for a listing is one of the bucket and prefix, in order, and says the number of its keys."""
    body, asked = case
    if page is None:
        return
    names = [info.key for info in page.objects]
    assert names == sorted(set(names))
    assert all(name.startswith(asked.prefix) for name in (*names, *page.folders))
    assert all(info.size >= 0 and info.modified.tzinfo is not None for info in page.objects)
    assert b"ListBucketResult" in body
    assert b"<!DOCTYPE" not in body


def an_answer(mutator: Mutator) -> Answer:
    code = mutator.of(_CODES)
    body = mutator.xml(material.refusal_xml(code, mutator.one("Access Denied", "server side encryption", "x\n\x1b")))
    lines = [
        b"content-type: application/xml",
        b"x-amz-bucket-region: eu-west-1",
        b'ETag: "abc"',
        b"Last-Modified: Wed, 12 Oct 2022 17:50:00 GMT",
        b"x-amz-meta-signature: abcdef",
        b"X-Amz-Meta-Signature-Algorithm: SHA256withRSA",
    ]
    for _ in range(mutator.chance.randrange(3)):
        at = mutator.chance.randrange(len(lines))
        lines[at] = mutator.data(lines[at])
    return Answer(mutator.of(_STATUSES), tuple(lines), body, len(body))


def look_at(answer: Answer) -> StoreError | AbsentError:
    s3_answers.metadata(answer)
    s3_answers.etag(answer)
    moment = s3_answers.modified(answer)
    assert moment is None or moment.tzinfo is not None
    return s3_answers.refusal(answer)


def check_refusal(answer: Answer, failure: StoreError | AbsentError) -> None:
    """Absence is said by S3's own code under 404 only; whatever it is is one line."""
    if isinstance(failure, AbsentError):
        assert answer.status == 404
        assert b"NoSuch" in answer.body
    else:
        assert "\n" not in failure.detail
        again = trouble.refused(failure, "cannot list", permission="s3:ListBucket")
        assert str(again) == printable(str(again))


# Objects.


def a_digest(mutator: Mutator) -> digest.Fetched:
    of = material.made()
    key, delivery = mutator.of(sorted(item for item in material.objects(of).items() if material.is_digest(item[0])))
    found = layout.folder_of(of.spec.bucket, key)
    assert found is not None
    name = layout.parse_digest_key(found[0], key)
    assert name is not None
    body, metadata = delivery.body, dict(delivery.metadata or {})
    match mutator.chance.randrange(4):
        case 0:
            body = mutator.data(body)
        case 1:
            metadata = mutator.names(metadata)
        case _:
            body = mutator.gzipped(mutator.json(material.content(delivery)))
    inflater = digest.inflater(len(body))
    inflater.feed(body)
    content = inflater.finish()
    where = Locator(of.spec.bucket, key)
    return digest.Fetched(where, name.chain, name.end, inflater.kept(), content.sha256, content.flaw, metadata)


def check_digest(case: digest.Fetched, result: Any) -> None:
    """Other content is proven by no signature of its own; what is found encodes."""
    evidence, references = result
    of = material.made()
    true = material.content(material.objects(of)[case.where.key])
    if case.content != true:
        assert evidence.own is not digest.SignatureStatus.VALID
        assert evidence.findings
    for finding in evidence.findings:
        assert finding.status in (Status.ALTERED, Status.UNVERIFIABLE)
    assert evidence.own is not digest.SignatureStatus.UNUSABLE or references == ()
    digest.claimed_place(case.content)
    digest.references_in(case.content)


def a_container(mutator: Mutator) -> tuple[bytes, list[int]]:
    content = mutator.one(b"", b'{"Records":[]}', b"x" * 3_000, bytes(200_000), mutator.chance.randbytes(500))
    body = mutator.gzipped(content)
    if mutator.maybe(0.5):
        body = mutator.data(body)
    return body, sorted(mutator.chance.randrange(len(body) + 1) for _ in range(mutator.chance.randrange(4)))


def inflate(case: tuple[bytes, list[int]]) -> Content:
    return digest_of(case[0])


def check_container(case: tuple[bytes, list[int]], content: Content) -> None:
    """Pieces or whole, the same; and what is called whole is what gunzip reads, which refuses what is not."""
    body, cuts = case
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    again = digest_of_pieces(pieces)
    assert again.flaw == content.flaw
    assert again == content or content.flaw in (Flaw.DAMAGED, Flaw.TRUNCATED)  # how far it got depends on the pieces
    inflater = Inflater(accept_plain=True, keep=True, limit=1_000)
    inflater.feed(body)
    inflater.finish()
    assert len(inflater.kept()) <= 1_000
    oracle = zlib.decompressobj(31)
    try:
        plain = oracle.decompress(body)
        whole = oracle.eof and not oracle.unused_data
    except zlib.error:
        plain, whole = b"", False
    assert whole == (content.flaw is None), (whole, content)
    if whole:
        assert content.sha256 == hashlib.sha256(plain).hexdigest()
        assert content.size == len(plain)


def a_log(mutator: Mutator) -> bytes:
    of = material.made()
    key = mutator.of(sorted(key for key in material.objects(of) if material.is_log(key)))
    value = json.loads(material.content(material.objects(of)[key]))
    for event in value["Records"]:
        if mutator.maybe(0.5):
            event.update(
                eventName="StopLogging", eventSource="cloudtrail.amazonaws.com", requestParameters={"key": "k"}
            )
    return mutator.json(json.dumps(value).encode())


def read_log(data: bytes) -> list[Any]:
    """As `explain` and as `diff` read it."""
    told = list(explaining_events(data, None, ""))
    assert all(activity.time.tzinfo is not None for activity in told)
    events.syntax(data)
    found: list[Any] = []
    try:
        spans = list(events.split(data))
    except events.NotALogError as error:
        assert "\n" not in str(error)  # noqa: PT017  # one line is what it promises
        return found
    for start, end in spans:
        try:
            found.append(events.parse(data[start:end]))
        except events.NotAnEventError:
            continue
    for one, other in pairwise(found):
        for difference in events.differences(one, other):
            for side in (difference.before, difference.after):
                events.as_text("" if side is events.ABSENT else side, 200).encode()
            events.clipped(difference.path, 200).encode()
    return found


def a_sidecar(mutator: Mutator) -> bytes:
    of = material.made()
    delivery = next(item for key, item in material.objects(of).items() if material.is_digest(key))
    return mutator.json(json.dumps(dict(delivery.metadata or {})).encode())


def check_sidecar(_: bytes, found: dict[str, str]) -> None:
    assert all(isinstance(part, str) for item in found.items() for part in item)
    for value in found.values():
        parse_signature(value)
