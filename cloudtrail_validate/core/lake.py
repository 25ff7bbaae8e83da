"""Results of a CloudTrail Lake query: read the sign file, rebuild what CloudTrail signed, judge one folder. Pure.

    [prefix/]AWSLogs/[o-…/]ACCOUNT/CloudTrail-Lake/Query/YYYY/MM/DD/QUERY-ID/result_sign.json
                                                                       …/result_1.csv.gz … result_N.csv.gz

Signed are the hashes of the files (SHA-256 over the *compressed* bytes), in the order of the list, joined by one blank:
RSA PKCS#1 v1.5 with SHA-256. Not signed are names, version, region, time, account and query id. So a name is never a path
to open before `read_sign_file` has let it pass, and what is not signed is compared with what is. Source: AWS CloudTrail
User Guide, "CloudTrail sign file structure" and "Custom implementations of CloudTrail query result file integrity
validation"; AWS CLI v2, `verify-query-results`. Hostile content becomes a finding, never an exception.

Checks, as they are done: 1. content: JSON with the guide's fields, names that CloudTrail gives. 2. algorithms. 3. key of
that fingerprint. 4. RSA. 5. what is not signed against what is: day, region, time. 6. each file against its hash.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from cloudtrail_validate.core.layout import REGION
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.signature import parse_signature

SIGN_FILE: Final = "result_sign.json"
LAKE_FOLDER: Final = "CloudTrail-Lake"
MAX_SIGN_BYTES: Final = 16 * 1024 * 1024  # a listed file takes ~140 bytes: 100,000 files, where AWS delivers a handful
MAX_FILES: Final = 100_000  # listed in one sign file
VERSION: Final = "1.0"
BEGAN: Final = datetime(2022, 1, 1, tzinfo=UTC)  # CloudTrail Lake was opened in January 2022
SKEW: Final = timedelta(days=1)  # a query's folder, clock and completion may lie on both sides of midnight
HEAD_BYTES: Final = 64 * 1024  # of a result file, compressed, that may hold the statement; StartQuery takes 10,000
_STATEMENT: Final = re.compile(r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(?:select|with)\b", re.IGNORECASE | re.DOTALL)
_RESULT: Final = re.compile(r"result_[1-9][0-9]{0,8}\.csv\.gz")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{64}")
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{32}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z")
_PLACE: Final = re.compile(
    r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?P<account>[0-9]{12})/CloudTrail-Lake/Query/"
    r"(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/(?P<day>[0-9]{2})/(?P<query>[^/]+)/",
    re.DOTALL,
)
_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A result file as the sign file names it, and its SHA-256 (hex, as written: that is what was signed)."""

    name: _Text = msgspec.field(name="fileName")
    sha256: _Text = msgspec.field(name="fileHashValue")


class _Document(msgspec.Struct, frozen=True):
    region: _Text
    files: tuple[Listed, ...]
    hash_algorithm: _Text = msgspec.field(name="hashAlgorithm")
    signature_algorithm: _Text = msgspec.field(name="signatureAlgorithm")
    completed: _Text = msgspec.field(name="queryCompleteTime")
    signature: Annotated[str, msgspec.Meta(max_length=16_384)] = msgspec.field(name="hashSignature")
    fingerprint: _Text = msgspec.field(name="publicKeyFingerprint")
    version: _Text | None = None


class SignFile(msgspec.Struct, frozen=True):
    """A sign file whose every field has its form. `completed` is when the query was, UTC; nothing of it is proven yet."""

    region: str
    files: tuple[Listed, ...]
    hash_algorithm: str
    signature_algorithm: str
    completed: datetime
    signature: str
    fingerprint: str

    def listed(self) -> Mapping[str, str]:
        """SHA-256 (lower-case hex) by name."""
        return {file.name: file.sha256.lower() for file in self.files}


class Place(msgspec.Struct, frozen=True):
    """Names a query's account, day of completion and id, as the path of its folder has them."""

    account: str
    day: datetime
    query_id: str


class Seen(msgspec.Struct, frozen=True):
    """One file as it lies there: SHA-256 (lower-case hex) and size of the stored bytes, and its first bytes, or why not.

    `cause` and `detail` where it could not be read; `special` where no S3 object can be what lies there. `absent`: it was
    listed and there is no such file.
    """

    sha256: str = ""
    size: int = 0
    head: bytes = b""
    cause: Cause | None = None
    detail: str | None = None
    special: str | None = None
    absent: bool = False


_DECODER: Final = msgspec.json.Decoder(_Document)


def is_result_name(name: str) -> bool:
    """Tell whether CloudTrail Lake gives this name to a file of results: the only names that are ever opened."""
    return _RESULT.fullmatch(name) is not None


def place_of(path: str) -> Place | None:
    """Read a folder's path (with its closing slash); None for one that is not as CloudTrail lays it out."""
    match = _PLACE.fullmatch(path)
    if match is None:
        return None
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    return Place(match["account"], day, match["query"]) if 2000 <= day.year < 9000 else None


def read_sign_file(data: bytes, now: datetime) -> SignFile | str:
    """Check 1: the sign file in these bytes, or in a few words why they are none."""
    if len(data) > MAX_SIGN_BYTES:
        return f"more than {MAX_SIGN_BYTES >> 20} MiB"
    try:
        document = _DECODER.decode(data)
        _refuse_doubles(data)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:  # what is no JSON, no UTF-8 or of other types
        return str(error)[:300]
    completed = _moment(document.completed)
    problem = next(_problems(document, completed, now), None)
    if problem is not None or completed is None:
        return problem or "queryCompleteTime is no time"
    return SignFile(
        document.region,
        document.files,
        document.hash_algorithm,
        document.signature_algorithm,
        completed,
        document.signature,
        document.fingerprint.lower(),
    )


def string_to_sign(sign: SignFile) -> bytes:
    """Return the bytes CloudTrail signed.

    The hashes as they are written, in the order of the list, one blank between two.
    """
    return " ".join(file.sha256 for file in sign.files).encode("utf-8")


def signed_sha256(sign: SignFile) -> bytes:
    """SHA-256 of the string to sign, 32 bytes."""
    return hashlib.sha256(string_to_sign(sign)).digest()


def signature_of(sign: SignFile) -> bytes | None:
    """Return the signature's bytes, None where it is no hex or empty."""
    return parse_signature(sign.signature) or None


def statement_in(head: bytes) -> str | None:
    """Return the query statement in the first line of a result file, given its first compressed bytes; None without one.

    The line is the statement as it is, or quoted as a CSV field, which may then hold line breaks. A line that does not
    begin like a query is a heading of columns.
    """
    try:
        raw = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return None
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    line = text.partition("\n")[0].strip()
    if text.startswith('"'):
        try:
            record = next(csv.reader(text.splitlines(keepends=True)), [])
        except csv.Error:
            record = []
        line = record[0].strip() if len(record) == 1 else line
    return line if _STATEMENT.match(line) else None


def _problems(document: _Document, completed: datetime | None, now: datetime) -> Iterator[str]:
    """Return what is wrong with fields that are all there."""
    if document.version not in (None, VERSION):
        yield f"version is {document.version!r}, not {VERSION!r}"
    if REGION.fullmatch(document.region) is None:
        yield f"region is {document.region!r}, which is no region"
    if completed is None:
        yield f"queryCompleteTime is {document.completed!r}, which is no time"
    elif not BEGAN <= completed <= now + SKEW:
        yield f"queryCompleteTime is {document.completed}, when there was no CloudTrail Lake"
    yield from _file_problems(document.files)
    if _FINGERPRINT.fullmatch(document.fingerprint) is None:
        yield "publicKeyFingerprint is no fingerprint"


def _file_problems(files: Sequence[Listed]) -> Iterator[str]:
    if not 0 < len(files) <= MAX_FILES:
        yield f"it lists {len(files):,} files"
    for file in files:
        if not is_result_name(file.name):
            yield f"it names the file {file.name!r}, as CloudTrail names none"
        if _HASH.fullmatch(file.sha256) is None:
            yield f"the hash of {file.name} is no SHA-256"
    for name, number in Counter(file.name for file in files).most_common(1):
        if number > 1:
            yield f"it lists {name} {number} times"


def _refuse_doubles(data: bytes) -> None:
    """Raise ValueError for a field that is there twice: readers differ in which of the two they take."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError("a field is there twice")

    json.loads(data, object_pairs_hook=once)


def _moment(text: str) -> datetime | None:
    if _TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
