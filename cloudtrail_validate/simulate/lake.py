"""Saved results of CloudTrail Lake queries as AWS leaves them in a bucket, whole or tampered with on purpose.

    simulation = simulate_lake(LakeSpec(queries=3), FolderSink("results"), ["lake-result-altered"])

A query's folder holds `result_1.csv.gz` and so on, whose first line is the statement, and `result_sign.json`. Source: AWS
CloudTrail User Guide, "CloudTrail sign file structure". Shares no code with the verifier.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import random
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.model import HOUR, Status, isoformat
from cloudtrail_validate.simulate.placing import TamperError
from cloudtrail_validate.simulate.signing import NewKey, PublishedKeys, SigningKey, generate_key, signing_key
from cloudtrail_validate.simulate.sinks import Delivery, Role, Sink
from cloudtrail_validate.simulate.spec import (
    ACCOUNT,
    DEFAULT_ACCOUNT,
    DEFAULT_BUCKET,
    KEY_LEAD,
    KEY_LIFETIME,
    REGION,
)

SCHEMA: Final = "ctvalidate.lake-simulation/1"
SIGN: Final = "result_sign.json"
_MOVED: Final = timedelta(days=40)  # to where a folder of `lake-moved` goes: further than any query runs
_STORE: Final = "11111111-2222-3333-4444-555555555555"  # an event data store, as AWS's documentation numbers them
_COLUMNS: Final = "eventTime,eventName,userIdentity.arn,sourceIPAddress"
_NAMES: Final = ("ConsoleLogin", "RunInstances", "CreateAccessKey", "PutBucketPolicy", "AssumeRole", "StopLogging")
_WISH: Final = re.compile(r"(?P<rule>[a-z-]+)(?::(?P<count>[0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class LakeSpec:
    """What to write: `queries` folders, `results` files each with `rows` rows, completed an hour apart from `start` on.

    Queries take the regions in turn; each region signs with a key of its own.
    """

    bucket: str = DEFAULT_BUCKET
    prefix: str = ""
    account: str = DEFAULT_ACCOUNT
    regions: tuple[str, ...] = ("us-east-1",)
    queries: int = 3
    results: int = 2
    rows: int = 20
    start: datetime = datetime(2026, 5, 10, 22, 6, 30, tzinfo=UTC)
    seed: int = 0

    def __post_init__(self) -> None:
        if ACCOUNT.fullmatch(self.account) is None:
            raise ValueError(f"expected an account id of 12 digits, not {self.account!r}")
        for region in self.regions:
            if REGION.fullmatch(region) is None:
                raise ValueError(f"expected a region such as us-east-1, not {region!r}")
        for name, most in (("queries", 10_000), ("results", 1_000), ("rows", 1_000_000)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"expected 1 to {most:,} {name}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ExpectedOfQuery:
    """One finding to expect, about one object."""

    rule: str
    status: Status
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class PlantedInQuery:
    """One tampering: its rule, the folder it was done to, and all findings it brings about."""

    rule: str
    folder: str
    expected: tuple[ExpectedOfQuery, ...]


@dataclass(frozen=True, slots=True)
class LakeManifest:
    """The answer sheet: where the folders are, what each query was, and what is to be found."""

    bucket: str
    prefix: str
    account: str
    queries: Mapping[str, str]
    results: int
    bytes_stored: int
    planted: tuple[PlantedInQuery, ...]

    def expected(self) -> Iterator[ExpectedOfQuery]:
        """Every finding to expect."""
        for planted in self.planted:
            yield from planted.expected

    def as_json(self) -> str:
        """The manifest as JSON."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, default=isoformat) + "\n"


@dataclass(frozen=True, slots=True)
class LakeSimulation:
    """What came of it: the answer sheet and the public keys."""

    manifest: LakeManifest
    keys: PublishedKeys


@dataclass(slots=True)
class Query:
    """One query's folder on its way: `files` by name, `sign` as it becomes JSON, what cannot be read, and who signed."""

    folder: str
    completed: datetime
    statement: str
    region: str
    key: SigningKey
    files: dict[str, bytes]
    listed: list[dict[str, str]] = field(default_factory=list)
    sign: dict[str, object] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    unsigned: bool = False

    def list_files(self) -> None:
        """Write the sign file for what the folder holds now, and sign it."""
        self.listed = [
            {"fileHashValue": hashlib.sha256(body).hexdigest(), "fileName": name} for name, body in self.files.items()
        ]
        text = " ".join(file["fileHashValue"] for file in self.listed)
        self.sign = {
            "version": "1.0",
            "region": self.region,
            "files": self.listed,
            "hashAlgorithm": "SHA-256",
            "signatureAlgorithm": "SHA256withRSA",
            "queryCompleteTime": isoformat(self.completed),
            "hashSignature": self.key.sign(text.encode()),
            "publicKeyFingerprint": self.key.fingerprint,
        }


def simulate_lake(
    spec: LakeSpec, sink: Sink, tampers: Iterable[str] = (), *, new_key: NewKey = generate_key
) -> LakeSimulation:
    """Write the folders to the sink, each tampering into a folder of its own, and return what should be found.

    Raises TamperError (a ValueError) before anything is written where a wish is unknown or finds no folder, and what the
    sink raises.
    """
    wishes = [rule for text in tampers for rule in _wishes(text)]
    if len(wishes) > spec.queries:
        raise TamperError(f"expected at least {len(wishes)} queries for as many tamperings, not {spec.queries}")
    keys = {region: signing_key(new_key(), region, spec.start) for region in dict.fromkeys(spec.regions)}
    queries = [_query(spec, number, keys) for number in range(spec.queries)]
    planted = []
    for rule, query in zip(wishes, queries, strict=False):
        if rule == rules.LAKE_RESULT_RENAMED and len(query.files) < 2:
            raise TamperError(f"expected at least 2 results a query for {rule}")
        names = TAMPERS[rule](query, new_key)
        found = tuple(ExpectedOfQuery(rule, STATUS[rule], spec.bucket, query.folder + name) for name in names)
        planted.append(PlantedInQuery(rule, query.folder, found))
    stored = 0
    with sink:
        for query in queries:
            for delivery in _deliveries(query):
                stored += len(delivery.body)
                sink.put(delivery)
    manifest = LakeManifest(
        spec.bucket,
        spec.prefix,
        spec.account,
        {query.folder: query.statement for query in queries},
        sum(len(query.files) for query in queries),
        stored,
        tuple(planted),
    )
    return LakeSimulation(manifest, PublishedKeys(tuple(key.public for key in keys.values())))


def _wishes(text: str) -> list[str]:
    match = _WISH.fullmatch(text)
    rule = match["rule"] if match else text
    if match is None or rule not in TAMPERS:
        near = difflib.get_close_matches(rule, TAMPERS, n=1, cutoff=0.0)[0]
        raise TamperError(f"expected a rule of query results to tamper with, not {text!r}: did you mean {near}?")
    return [rule] * int(match["count"] or 1)


def _query(spec: LakeSpec, number: int, keys: Mapping[str, SigningKey]) -> Query:
    rng = random.Random(f"{spec.seed}/lake/{number}")
    completed = spec.start + number * HOUR % (KEY_LIFETIME - 2 * KEY_LEAD)  # while its key is valid
    region = spec.regions[number % len(spec.regions)]
    query_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    base = f"{spec.prefix}/AWSLogs/" if spec.prefix else "AWSLogs/"
    folder = f"{base}{spec.account}/CloudTrail-Lake/Query/{completed:%Y/%m/%d}/{query_id}/"
    day = f"{completed - timedelta(days=1):%Y-%m-%d}"
    where = f"eventTime > '{day} 00:00:00' AND eventName = '{rng.choice(_NAMES)}'"
    statement = " ".join(("SELECT", _COLUMNS, "FROM", _STORE, "WHERE", where))
    files = {f"result_{part}.csv.gz": _csv(statement, rng, completed, spec.rows) for part in range(1, spec.results + 1)}
    query = Query(folder, completed, statement, region, keys[region], files)
    query.list_files()
    return query


def _csv(statement: str, rng: random.Random, completed: datetime, rows: int) -> bytes:
    lines = ['"' + statement.replace('"', '""') + '"', _COLUMNS]
    for _ in range(rows):
        when = isoformat(completed - timedelta(seconds=rng.randrange(86_400)))
        who = f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/user-{rng.randrange(9)}"
        lines.append(f"{when},{rng.choice(_NAMES)},{who},192.0.2.{rng.randrange(1, 255)}")
    return gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)


def _deliveries(query: Query) -> Iterator[Delivery]:
    files = dict(query.files)
    if not query.unsigned:
        files[SIGN] = json.dumps(query.sign, indent=2).encode()
    for name, body in files.items():
        yield Delivery(query.folder + name, body, query.completed, Role.LOG, unreadable=name in query.unreadable)


# Tamperings: each changes one folder and returns the names about which the rule is found.


def _altered(query: Query, _: NewKey) -> list[str]:
    name = next(iter(query.files))
    text = gzip.decompress(query.files[name]).replace(b"192.0.2.", b"203.0.113.", 1)
    query.files[name] = gzip.compress(text, mtime=0)
    return [name]


def _renamed(query: Query, _: NewKey) -> list[str]:
    first, second, *_rest = query.files
    query.files[first], query.files[second] = query.files[second], query.files[first]
    return [first, second]


def _missing(query: Query, _: NewKey) -> list[str]:
    name = list(query.files)[-1]
    del query.files[name]
    return [name]


def _extra(query: Query, _: NewKey) -> list[str]:
    name = f"result_{len(query.files) + 1}.csv.gz"
    query.files[name] = gzip.compress(f"{_COLUMNS}\n".encode(), mtime=0)
    return [name]


def _unreadable(query: Query, _: NewKey) -> list[str]:
    query.unreadable.add(name := list(query.files)[-1])
    return [name]


def _sign_missing(query: Query, _: NewKey) -> list[str]:
    query.unsigned = True
    return [SIGN]


def _sign_malformed(query: Query, _: NewKey) -> list[str]:
    query.listed[0]["fileName"] = "../../../result_1.csv.gz"
    return [SIGN]


def _sign_unreadable(query: Query, _: NewKey) -> list[str]:
    query.unreadable.add(SIGN)
    return [SIGN]


def _signature_invalid(query: Query, new_key: NewKey) -> list[str]:
    """Change a result and the hash that the sign file lists: the two agree, and only the signature tells."""
    (name,) = _altered(query, new_key)
    query.listed[0]["fileHashValue"] = hashlib.sha256(query.files[name]).hexdigest()
    return [SIGN]


def _key_unknown(query: Query, new_key: NewKey) -> list[str]:
    query.key = signing_key(new_key(), query.region, query.completed)
    query.list_files()
    return [SIGN]


def _algorithm(query: Query, _: NewKey) -> list[str]:
    query.sign["hashAlgorithm"] = "SHA-1"
    return [SIGN]


def _moved(query: Query, _: NewKey) -> list[str]:
    there, here = (f"/{day:%Y/%m/%d}/" for day in (query.completed, query.completed - _MOVED))
    query.folder = query.folder.replace(there, here)
    return [SIGN]


TAMPERS: Final[Mapping[str, Callable[[Query, NewKey], list[str]]]] = {
    rules.LAKE_RESULT_ALTERED: _altered,
    rules.LAKE_RESULT_RENAMED: _renamed,
    rules.LAKE_RESULT_MISSING: _missing,
    rules.LAKE_RESULT_EXTRA: _extra,
    rules.LAKE_RESULT_UNREADABLE: _unreadable,
    rules.LAKE_SIGN_MISSING: _sign_missing,
    rules.LAKE_SIGN_MALFORMED: _sign_malformed,
    rules.LAKE_SIGN_UNREADABLE: _sign_unreadable,
    rules.LAKE_SIGNATURE_INVALID: _signature_invalid,
    rules.LAKE_KEY_UNKNOWN: _key_unknown,
    rules.LAKE_ALGORITHM_UNSUPPORTED: _algorithm,
    rules.LAKE_MOVED: _moved,
}
STATUS: Final = {
    rules.LAKE_RESULT_ALTERED: Status.ALTERED,
    rules.LAKE_RESULT_RENAMED: Status.ALTERED,
    rules.LAKE_RESULT_MISSING: Status.MISSING,
    rules.LAKE_RESULT_EXTRA: Status.EXTRA,
    rules.LAKE_RESULT_UNREADABLE: Status.UNVERIFIABLE,
    rules.LAKE_SIGN_MISSING: Status.MISSING,
    rules.LAKE_SIGN_MALFORMED: Status.ALTERED,
    rules.LAKE_SIGN_UNREADABLE: Status.UNVERIFIABLE,
    rules.LAKE_SIGNATURE_INVALID: Status.ALTERED,
    rules.LAKE_KEY_UNKNOWN: Status.UNVERIFIABLE,
    rules.LAKE_ALGORITHM_UNSUPPORTED: Status.ALTERED,
    rules.LAKE_MOVED: Status.ALTERED,
}
"""The status of each rule's findings, written out so that a slip in the verifier's table is noticed. A key that nobody knows
is unverifiable where the keys come from a file."""
