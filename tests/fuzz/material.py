"""True things to spoil: a trail in memory, and the files and answers that tell of it, as the tool writes or meets them."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

import msgspec

from cloudtrail_validate.core.findings import Watch
from cloudtrail_validate.core.model import HOUR, Interval, isoformat
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.shards import Shard
from cloudtrail_validate.core.signature import RegionKeys
from cloudtrail_validate.distribute.parts import Part, fingerprint, place_of
from cloudtrail_validate.distribute.unforeseen import Beyond
from cloudtrail_validate.engine.discover import discover
from cloudtrail_validate.engine.run import Engine
from cloudtrail_validate.report import Report, RequestEcho, Run
from cloudtrail_validate.report.build import build
from cloudtrail_validate.runtime.limits import RateLimiter
from cloudtrail_validate.simulate import Delivery
from cloudtrail_validate.stores.protocol import Store
from tests.engine.memory import MemoryStore, VectorKeys, target_of
from tests.scenarios import vector, world
from tests.scenarios.world import World

TRAIL: Final = {"hours": 3, "regions": ["us-east-1"], "multi_region": False, "late_logs": 1, "logs_per_hour": 1}
REGION: Final = "us-east-1"


@cache
def made(*tampers: str) -> World:
    """A trail of three hours in one region, done to by the rules' own tampers."""
    return world.build(vector.of(trail={**TRAIL, "hours": 6 if tampers else 3}, tamper=list(tampers)))


def objects(of: World) -> dict[str, Delivery]:
    """The objects of its one bucket."""
    return of.buckets[of.spec.bucket]


def content(delivery: Delivery) -> bytes:
    """What an object inflates to."""
    return gzip.decompress(delivery.body)


def is_digest(key: str) -> bool:
    """Whether a key is a digest's."""
    return "/CloudTrail-Digest/" in key and not key.endswith("/")


def is_log(key: str) -> bool:
    """Whether a key is a log's."""
    return "/CloudTrail/" in key and not key.endswith("/")


def keys_of(of: World) -> RegionKeys:
    """The keys that signed."""
    return VectorKeys(of).region(REGION)


def validated(of: World, store: Store | None = None) -> tuple[Outcome, Engine]:
    """Run the engine over it, so late that every digest is due: what is not there by then is a gap."""
    engine = Engine(store or MemoryStore(of.buckets, page=1000), VectorKeys(of), Watch(), RateLimiter(8))
    outcome = asyncio.run(engine.run(target_of(of), Interval(of.start, of.end), of.now + 3 * HOUR))
    return outcome, engine


def report_of(outcome: Outcome) -> Report:
    """The report of an outcome. When it ran is the same in all of them."""
    start, end = outcome.window
    echo = RequestEcho(trail_arn=None, start=start, end=end, source="s3://b/", regions=(), accounts=())
    return build(outcome, echo, Run(started=start, finished=start, caller_arn=None))


@cache
def reports() -> tuple[bytes, ...]:
    """Reports as JSON, of a trail that is valid and of one that is not."""
    return tuple(
        msgspec.json.encode(report_of(validated(of)[0])) for of in (made(), made("log-altered", "log-missing"))
    )


@cache
def parts() -> tuple[Part, ...]:
    """Both parts of a run in two, the second of which has nothing to do."""
    of = made("log-altered")
    outcome, engine = validated(of)
    plan = asyncio.run(discover(MemoryStore(of.buckets), target_of(of)))
    report = report_of(outcome)

    results = tuple(msgspec.structs.replace(result, digests=()) for result in engine.results)
    site = plan.sites[0]

    def part(number: int) -> Part:
        own = number == 1
        return Part(
            version="1",
            shard=Shard(number, 2),
            plan=fingerprint(place_of(site) for site in plan.sites),
            request=report.request,
            run=report.run,
            window=outcome.window,
            target=target_of(of),
            tolerate=("gap-tail",),
            sites=plan.sites if own else (),
            results=results if own else (),
            findings=engine.of_the_plan(),
            beyond=Beyond(results[:1], tuple(chain.chain for chain in outcome.chains), ((site.account, site.region),)),
        )

    return part(1), part(2)


def page_xml(bucket: str, prefix: str, deliveries: list[tuple[str, Delivery]], folders: tuple[str, ...] = ()) -> bytes:
    """One page of ListObjectsV2 as S3 writes it, `encoding-type=url`."""
    contents = "".join(
        f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><LastModified>{stamp(delivery.delivered)}</LastModified>"
        f"<ETag>&quot;{etag(delivery.body)}&quot;</ETag><Size>{len(delivery.body)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, delivery in deliveries
    )
    below = "".join(f"<CommonPrefixes><Prefix>{quote(name, safe='/')}</Prefix></CommonPrefixes>" for name in folders)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{quote(prefix, safe='/')}</Prefix>"
        f"<KeyCount>{len(deliveries) + len(folders)}</KeyCount>"
        f"<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{contents}{below}"
        "</ListBucketResult>"
    ).encode()


def stamp(moment: datetime) -> str:
    """A time as S3 lists it."""
    return f"{isoformat(moment)[:-1]}.000Z"


def etag(body: bytes) -> str:
    """The ETag of an object that was put at once."""
    import hashlib

    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def refusal_xml(code: str, message: str) -> bytes:
    """An error as S3 writes it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
        "<Region>eu-west-1</Region><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>"
    ).encode()


@cache
def key_file() -> bytes:
    """A key file as `ctvalidate keys export` writes it."""
    from cloudtrail_validate.stores.key_file import write_keys

    return write_keys(keys_of(made()).keys.values())


def tree(data: bytes) -> Any:
    """JSON as a tree."""
    return json.loads(data)
