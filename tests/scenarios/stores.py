"""Puts a vector's objects into a store and validates them there: a folder, moto, or rclone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.loaders import Loader, create_loader
from moto.s3.models import s3_backends

from cloudtrail_validate import Report, Request, run
from cloudtrail_validate.simulate import Delivery, FolderSink, Role, S3Sink
from tests.scenarios import keys
from tests.servers.aws_extra import DigestDelivery
from tests.servers.clients import make_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.scenarios.vector import Aws, StoreCase
    from tests.scenarios.world import Buckets, World
    from tests.servers.aws import AwsServer
    from tests.servers.rclone import RcloneServer

MOTO_ACCOUNT = "123456789012"
_THREADS = 2  # of uploads: moto answers one request at a time
_REQUESTS = 16


@cache
def models(search_path: str | None = None) -> Loader:
    """botocore's own loader of service models, kept: each run has its own session, reading them is half of a run."""
    return create_loader(search_path)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vector was put: what the request says of it."""

    source: Path | None = None
    bucket: str | None = None


def in_folder(world: World, folder: Path, *, sidecars: bool) -> Place:
    """Write every bucket into one folder, as one copy of them all."""
    sink = FolderSink(folder, sidecars=sidecars)
    for objects in world.buckets.values():
        for delivery in objects.values():
            sink.put(delivery)
    return Place(source=folder)


def in_moto(world: World, aws: AwsServer, case: StoreCase) -> Place:
    """Upload every bucket, and set up what CloudTrail answers."""
    upload_to_moto(world.buckets, aws, delivered=case.times == "delivered")
    _control_plane(world, aws, world.vector.aws)
    return Place(bucket=world.spec.bucket)


def upload_to_moto(buckets: Buckets, aws: AwsServer, *, delivered: bool = True) -> None:
    """Upload every bucket. moto takes each object for written now; `delivered` puts LastModified right."""
    _upload(buckets, _moto_client(aws.endpoint))
    if not delivered:
        return
    for bucket, objects in buckets.items():
        stored = s3_backends[MOTO_ACCOUNT]["aws"].buckets[bucket].keys
        for delivery in objects.values():
            stored[delivery.key].last_modified = delivery.delivered.replace(tzinfo=None)


@cache
def _moto_client(endpoint: str) -> S3Client:
    """Making a client takes 0.04 s, as long as a dozen uploads."""
    return make_client("s3", endpoint)


def in_rclone(world: World, server: RcloneServer, case: StoreCase) -> Place:
    """Upload every bucket. Like rclone's own copies, objects bear their time in the metadata `mtime`."""
    buckets = {
        bucket: {
            key: _with_mtime(delivery) if case.times == "delivered" else delivery
            for key, delivery in objects.items()
            if delivery.role is not Role.MARKER  # rclone has no keys that end in a slash
        }
        for bucket, objects in world.buckets.items()
    }
    _upload(buckets, server.client(), threads=1)  # two that make one folder at once: 500 InternalError, now and then
    return Place(bucket=world.spec.bucket)


def _with_mtime(delivery: Delivery) -> Delivery:
    return replace(delivery, metadata={**(delivery.metadata or {}), "mtime": str(delivery.delivered.timestamp())})


def _upload(buckets: Mapping[str, Mapping[str, Delivery]], client: S3Client, *, threads: int = _THREADS) -> None:
    for bucket, objects in buckets.items():
        client.create_bucket(Bucket=bucket)
        with S3Sink(bucket, client, threads=threads) as sink:
            for delivery in objects.values():
                sink.put(delivery)


def _control_plane(world: World, aws: AwsServer, says: Aws | None) -> None:
    """Trails as CreateTrail makes them, and what GetTrailStatus tells of the main one."""
    if says is None:
        return
    for trail in says.trails:
        client = aws.client("cloudtrail", trail.home_region or world.spec.home)
        client.create_trail(
            Name=trail.name,
            S3BucketName=trail.bucket,
            S3KeyPrefix=trail.prefix,
            EnableLogFileValidation=trail.validation,
            IsMultiRegionTrail=trail.multi_region,
        )
    for region, time in says.delivered.items():
        aws.digest_delivery[world.spec.trail_name, region] = DigestDelivery(time)
    aws.denied |= set(says.denied)
    if says.enabled_regions is not None:
        aws.enabled_regions = set(says.enabled_regions)


def ask(world: World, place: Place, key_file: Path) -> Report:
    """Validate, with the keys that the vector grants: `key_file` is where they go if they come from a file."""
    asked = world.vector.run
    by_trail = asked.by != "bucket"
    by_place = asked.by != "trail" or place.source is not None
    prefix = world.spec.prefix if asked.prefix is None else asked.prefix
    request = Request(
        start=asked.start or world.start,
        end=asked.end or world.end,
        trail_arn=world.spec.trail_arn if by_trail else None,
        bucket=place.bucket if by_place else None,
        prefix=(prefix or None) if by_place else None,
        source=place.source,
        public_keys=key_file if world.vector.keys.source == "file" else None,
        regions=asked.regions,
        accounts=asked.accounts,
        also_buckets=asked.also_buckets,
        expect=asked.expect,
        tolerate=asked.tolerate,
        concurrency=_REQUESTS,
    )
    return run(request, now=asked.now or world.now).report


def provide_keys(world: World, key_file: Path, aws: AwsServer | None) -> None:
    """Put the keys where the vector says they come from."""
    answer = keys.listed(world.vector.keys, world.published, world.spec)
    if aws is not None and world.vector.keys.source == "aws":
        keys.publish(aws, answer)
    else:
        key_file.write_text(answer.as_json())
