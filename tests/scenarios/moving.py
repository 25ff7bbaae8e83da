"""A chain whose place changes while it runs: another bucket, another prefix, or now below an organization's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cloudtrail_validate.simulate import Delivery, TrailSpec
from cloudtrail_validate.simulate.digests import digest_delivery, log_delivery, make_digest, signed
from cloudtrail_validate.simulate.events import hourly_logs
from cloudtrail_validate.simulate.signing import KeyRing
from tests.scenarios.vector import Move


def moving(spec: TrailSpec, moves: Sequence[Move], ring: KeyRing) -> Iterator[tuple[str, Delivery]]:
    """Each object with its bucket. The chain goes on: its links lead from the new place to the old one."""
    for site in spec.sites:
        interval = spec.hour(-1)
        previous = make_digest(spec, site, interval, (), previous=None, signer=ring.at(site.region, interval.end))
        yield spec.bucket, digest_delivery(previous)
        for hour in range(spec.hours):
            here = place_at(spec, moves, hour)
            interval = here.hour(hour)
            logs = hourly_logs(here, site, hour, interval)
            signer = ring.at(site.region, interval.end)
            digest = make_digest(here, site, interval, logs, previous=previous, signer=signer)
            # make_digest takes its predecessor's bucket for its own.
            record = {**digest.record, "previousDigestS3Bucket": previous.record["digestS3Bucket"]}
            previous = signed(record, signer, like=digest)
            for delivery in (*map(log_delivery, logs), digest_delivery(previous)):
                yield here.bucket, delivery


def place_at(spec: TrailSpec, moves: Sequence[Move], hour: int) -> TrailSpec:
    """The specification as the moves up to that hour (index) left it."""
    for move in moves:
        if move.hour <= hour:
            spec = replace(
                spec,
                bucket=spec.bucket if move.bucket is None else move.bucket,
                prefix=spec.prefix if move.prefix is None else move.prefix,
                organization_id=spec.organization_id if move.organization_id is None else move.organization_id,
            )
    return spec
