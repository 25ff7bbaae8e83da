"""Parses S3's answers: listings, errors, heads of objects. Pure; what is not S3's own answer raises `NotS3Error`.

An answer counts as evidence only if it is S3's about what was asked: captive portals, proxies and gateways answer with
status 200 and any XML, and with 404 and no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_plus
from xml.parsers import expat

import msgspec
from msgspec.structs import replace

from cloudtrail_validate.core.errors import AbsentError, BucketAbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.model import Cause, ObjectInfo
from cloudtrail_validate.core.text import brief
from cloudtrail_validate.core.trouble import by_code
from cloudtrail_validate.stores.columns import Columns, ascending, split_row
from cloudtrail_validate.stores.transfer import Answer

_NAMESPACES: Final = frozenset(
    {"", "http://s3.amazonaws.com/doc/2006-03-01/", "http://doc.s3.amazonaws.com/2006-03-01"}  # the last: other makers
)
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_SIZE: Final = re.compile(r"[0-9]{1,15}")  # S3 allows 14 digits
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}")
_MOVED: Final = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"}) | {
    "IllegalLocationConstraintException"
}
_ABSENT: Final = {"NoSuchKey": AbsentError, "NoSuchBucket": BucketAbsentError}
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_ALIASES: Final = ("-s3alias", "--ol-s3", "-ext-s3alias", ".mrap")  # S3 User Guide: reserved endings of bucket names
_META: Final = b"x-amz-meta-"
_ROOT: Final = "ListBucketResult"
_END_OF_ITEM: Final = "</Contents>"
# One object of a listing as S3 itself writes it, without white space between elements. What a group holds means the same
# as text and as XML: printable ASCII without markup, and the ETag between its quotes.
_OBJECT_TEXT: Final = (
    r"<Contents><Key>([ !-%'-;=?-~]+)</Key><LastModified>([0-9TZ:.+-]+)</LastModified>"
    r"<ETag>(?:&quot;|\")([ !#-%'-;=?-~]*)(?:&quot;|\")</ETag>(?:<ChecksumAlgorithm>[A-Z0-9_]*</ChecksumAlgorithm>)*"
    r"(?:<ChecksumType>[A-Z_]*</ChecksumType>)?<Size>([0-9]{1,15})</Size>"
    r"(?:<StorageClass>[A-Z_]*</StorageClass>)?</Contents>"
)
_OBJECT: Final = re.compile(_OBJECT_TEXT)
_ROW: Final = re.compile(f"(?:{_OBJECT_TEXT})+")
_Item = tuple[str, str, str, str]  # key, LastModified, ETag and size, as they stand in a listing
_DEPTH: Final = 8  # of elements: a listing has 4


class NotS3Error(StoreError):
    """Tells that an answer is not S3's, or was damaged on its way: to be asked again."""

    def __init__(self, detail: str, cause: Cause = Cause.NETWORK) -> None:
        super().__init__(cause, detail)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.detail, self.cause)


class ElsewhereError(StoreError):
    """The bucket lies in another region, whose name is empty where S3 does not say it."""

    def __init__(self, detail: str, code: str, region: str) -> None:
        super().__init__(Cause.ACCESS_DENIED, detail, code=code)
        self.region = region

    def __reduce__(self) -> tuple[object, ...]:
        return ElsewhereError, (self.detail, self.code, self.region)


class ExpiredError(StoreError):
    """The credentials have run out: fresh ones may be had."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(Cause.ACCESS_DENIED, detail, code=code)

    def __reduce__(self) -> tuple[object, ...]:
        return ExpiredError, (self.detail, self.code)


class Page(msgspec.Struct, frozen=True):
    """One page of a listing: objects, folders (whole prefixes), and the token that the next page is asked with."""

    objects: Sequence[ObjectInfo]
    folders: tuple[str, ...]
    token: str | None


class Asked(msgspec.Struct, frozen=True):
    """Holds what a listing was asked for: the bucket as `listed_name` gives it, the prefix, and behind which key."""

    bucket: str
    prefix: str
    after: str = ""
    delimited: bool = False


def refusal(answer: Answer) -> StoreError | AbsentError:
    """Sort an answer that is not content into an error. Only S3's own codes mean anything but trouble on the way."""
    try:
        fields, _, _ = _parse(answer.body, "Error")
    except (expat.ExpatError, NotS3Error, ValueError):
        fields = {}
    code, message = fields.get("Code", ""), brief(fields.get("Message", ""))
    if not _CODE.fullmatch(code) or answer.status < 300:
        return _unknown(answer)
    if code in _ABSENT:
        return _ABSENT[code](message or code) if answer.status == 404 else _unknown(answer)
    if code in _EXPIRED:
        return ExpiredError(f"{code}: {message}", code)
    if code in _MOVED:
        region = answer.header(b"x-amz-bucket-region") or fields.get("Region", "")
        return ElsewhereError(f"{code}: {message}", code, region if _REGION.fullmatch(region) else "")
    customer = code == "InvalidRequest" and "server side encryption" in message.lower()
    return CustomerKeyError() if customer else _by_code(code, message)


def _by_code(code: str, message: str) -> StoreError:
    failure = by_code(code, message or code)
    return failure if isinstance(failure, StoreError) else NotS3Error(f"{code}: {message}")


def _unknown(answer: Answer) -> NotS3Error:
    kind = (answer.header(b"content-type") or "no type").partition(";")[0]
    busy = answer.status in (429, 503)
    return NotS3Error(
        f"HTTP {answer.status} without an answer of S3's ({brief(kind)})", Cause.THROTTLED if busy else Cause.NETWORK
    )


def metadata(answer: Answer) -> dict[str, str]:
    """Return the user metadata that came with an object, names as sent, without their prefix."""
    found: dict[str, str] = {}
    for line in answer.lines:
        if line[: len(_META)].lower() == _META:
            name, _, value = line.decode("latin-1").partition(":")
            found.setdefault(name[len(_META) :].strip(), value.strip())
    return found


def modified(answer: Answer) -> datetime | None:
    """Return the time at which the object was last written, as its head says."""
    try:
        moment = parsedate_to_datetime(answer.header(b"last-modified") or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def listed_name(bucket: str) -> str:
    """Return the name by which S3 lists a bucket; empty for access points, which it may call otherwise."""
    return "" if ":" in bucket or bucket.endswith(_ALIASES) else bucket


def etag(answer: Answer) -> str:
    """Return the ETag without its quotes; empty where there is none."""
    return _bare(answer.header(b"etag") or "")


def parse_page(body: bytes, asked: Asked) -> Page:
    """Return one page of a listing of what was asked for. Raises `NotS3Error` for anything else."""
    try:
        return _page(body, asked)
    except (expat.ExpatError, ValueError, OverflowError) as error:  # ValueError: UnicodeDecodeError too
        raise NotS3Error(f"not a listing: {brief(str(error))}") from error


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _parse(body: bytes, root: str) -> tuple[dict[str, str], list[dict[str, str]], list[str]]:
    """Read a document whose root element is `root`, in S3's namespace or none.

    Returns the elements right below the root, and of a listing its `Contents` and the prefixes of its `CommonPrefixes`.
    Document types are refused, and with them entities: nothing of S3's declares any.
    """
    top: dict[str, str] = {}
    contents: list[dict[str, str]] = []
    prefixes: list[str] = []
    item: dict[str, str] = {}
    text: list[str] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, item
        depth += 1
        if depth == 2:
            item = {}
        elif depth == 1 and (name != root or attributes.get("xmlns", "") not in _NAMESPACES):
            raise NotS3Error(f"{brief(name)} instead of {root}")
        elif depth > _DEPTH:
            raise NotS3Error(f"nested too deep for {root}")
        text.clear()

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 2:
            item[name] = "".join(text)
        elif depth == 1:
            if name == "Contents":
                contents.append(item)
            elif name == "CommonPrefixes":
                prefixes.append(item.get("Prefix", ""))
            else:
                top[name] = "".join(text)
        text.clear()

    def refuse(*_: object) -> None:
        raise NotS3Error("a document type is declared")

    # S3 writes UTF-8. Were the document asked, it could name any of Python's codecs, or one that raises LookupError.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.Parse(body, True)
    return top, contents, prefixes


def _page(body: bytes, asked: Asked) -> Page:
    top, contents, prefixes = _listing(body)
    encoded = top.get("EncodingType") == "url"
    name, prefix = top.get("Name", ""), top.get("Prefix", "")
    if asked.bucket and name != asked.bucket:
        raise NotS3Error(f"a listing of another bucket, {brief(name)!r}")
    if asked.prefix not in (prefix, _decoded(prefix, encoded=encoded)):
        raise NotS3Error(f"a listing of another prefix, {brief(prefix)!r}")
    truncated = {"true": True, "false": False}.get(top.get("IsTruncated", ""))
    if truncated is None or top.get("KeyCount", "") not in ("", str(len(contents) + len(prefixes))):
        raise NotS3Error("a listing that is not whole")
    token = top.get("NextContinuationToken") if truncated else None
    if truncated and not token:
        raise NotS3Error("a listing that does not say how it goes on")
    objects = _objects(contents, encoded=encoded)
    _check_names(objects.keys if isinstance(objects, Columns) else [info.key for info in objects], asked)
    folders = tuple(_decoded(item, encoded=encoded) for item in prefixes)
    _check_names(folders, asked)
    for folder in folders:
        if not asked.delimited or folder.find("/", len(asked.prefix)) != len(folder) - 1:
            raise NotS3Error(f"{brief(folder)!r} is not a folder right below the prefix")
    return Page(objects, folders, token)


def _objects(contents: Columns | Sequence[_Item], *, encoded: bool) -> Sequence[ObjectInfo]:
    if not isinstance(contents, Columns):
        return tuple([_info(*item, encoded=encoded) for item in contents])
    if not (encoded and contents.has_signs("%+")):
        return contents
    return tuple([replace(info, key=_decoded(info.key, encoded=True)) for info in contents])


def _listing(body: bytes) -> tuple[dict[str, str], Columns | Sequence[_Item], list[str]]:
    """Read a listing: what stands at its top, objects, and the prefixes of folders.

    Where its objects stand in a row and as S3 itself writes them, that row is read at once and the rest as XML, with an
    empty element in its place: whatever is not exactly so is read as XML throughout, to the same result.
    """
    quick = _row(body)
    if quick is not None:
        items, rest = quick
        with suppress(expat.ExpatError, NotS3Error):
            top, contents, prefixes = _parse(rest, _ROOT)
            if contents == [{}]:
                return top, items, prefixes
    top, contents, prefixes = _parse(body, _ROOT)
    return top, [_item(item) for item in contents], prefixes


def _row(body: bytes) -> tuple[Columns | list[_Item], bytes] | None:
    """Return the objects of a listing, and the listing without them. None where they are not a row of the plainest form.

    Where not all are written alike, as of several storage classes, one pattern reads them.
    """
    if not body.isascii():
        return None
    text = body.decode("ascii")
    start, end = text.find("<Contents>"), text.rfind(_END_OF_ITEM) + len(_END_OF_ITEM)
    first = _OBJECT.match(text, start) if start >= 0 else None
    if first is None:
        return None
    items = split_row(first, end)
    if items is None and _ROW.fullmatch(text, start, end) is None:
        return None
    rest = f"{text[:start]}<Contents/>{text[end:]}".encode("ascii")
    return items if items is not None else _OBJECT.findall(text, start, end), rest


def _item(item: Mapping[str, str]) -> _Item:
    return item.get("Key", ""), item.get("LastModified", ""), _bare(item.get("ETag", "")), item.get("Size", "")


def _info(key: str, modified: str, tag: str, size: str, *, encoded: bool) -> ObjectInfo:
    if not key or not _SIZE.fullmatch(size):
        raise NotS3Error(f"an object of {size!r} bytes is listed")
    moment = datetime.fromisoformat(modified)
    if moment.tzinfo is not UTC:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return ObjectInfo(_decoded(key, encoded=encoded), int(size), moment, tag)


def _decoded(text: str, *, encoded: bool) -> str:
    return unquote_plus(text, errors="strict") if encoded and ("%" in text or "+" in text) else text


def _check_names(names: Sequence[str], asked: Asked) -> None:
    """Check that names ascend and lie below the prefix. S3's order is that of UTF-8 bytes, and so of code points."""
    if ascending(names) and all(
        name > asked.after and name.startswith(asked.prefix) for name in (*names[:1], *names[-1:])
    ):
        return  # what sorts between two names below a prefix lies below it
    last = asked.after
    for name in names:
        if name <= last or not name.startswith(asked.prefix):
            raise NotS3Error(f"a listing out of order, or of something else: {name!r} after {last!r}")
        last = name
