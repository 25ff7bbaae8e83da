"""`ctvalidate simulate DEST`: write a trail with digests, whole or tampered with on purpose, to try things on."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import click

from cloudtrail_validate.core.model import HOUR, isoformat, utc
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.runtime.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.simulate import LakeSimulation, Manifest, Simulation, Sink, TrailSpec

UPLOADS = 16  # at a time; S3 answers a small PUT in about 20 ms, so this keeps one process busy
NEWEST_AGE = timedelta(minutes=31)  # the longest that a digest takes to arrive: the default trail ends before
_QUERIES_A_KEY: Final = 24 * 28  # an hour apart, in the time of one key
_RESTART = re.compile(r"([0-9]{1,6})(?::([0-9]{1,6}))?")


class SimulateError(click.ClickException):
    """What stopped the simulation, in one line; exit code 2."""

    exit_code = 2


@dataclass(frozen=True)
class Destination:
    """Where the trail goes: a folder, or a bucket (`folder` is None) and the prefix that the URL names."""

    text: str
    folder: Path | None
    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str, bucket: str | None, prefix: str | None) -> Destination:
        """Read a folder's path or `s3://bucket[/prefix]`. Raises ValueError where the options say otherwise."""
        from cloudtrail_validate.simulate.spec import DEFAULT_BUCKET

        if not text.startswith("s3://"):
            return cls(text, Path(text), bucket or DEFAULT_BUCKET, prefix or "")
        named, _, path = text.removeprefix("s3://").partition("/")
        path = path.removesuffix("/")
        if not named:
            raise ValueError(f"expected s3://bucket or s3://bucket/prefix, not {text!r}")
        if bucket not in (None, named):
            raise ValueError(f"expected one bucket, not {named!r} in DEST and {bucket!r} in --bucket")
        if path and prefix is not None:
            raise ValueError("expected one prefix, not one in DEST and another in --prefix")
        return cls(text, None, named, prefix or path)


@click.command("simulate")
@click.argument("dest")
@click.option("--trail-name", metavar="NAME", help="Name of the trail.  [default: management-events]")
@click.option("--account-id", "accounts", multiple=True, metavar="ID", help="Account; the first owns the trail.")
@click.option("--organization-id", metavar="ID", help="Make it an organization trail (so do several accounts).")
@click.option("--region", "regions", multiple=True, metavar="REGION", help="Region with logs.  [default: us-east-1]")
@click.option(
    "--multi-region/--single-region",
    default=None,
    help="A multi-region trail writes digests in all enabled regions.  [default: unless one --region is given]",
)
@click.option("--home-region", metavar="REGION", help="The trail's home region.  [default: the first --region]")
@click.option("--quiet-region", "quiet_regions", multiple=True, metavar="REGION", help="Region with empty digests.")
@click.option("--start-time", metavar="TIME", help="First hour, ISO 8601.  [default: so that the trail ends now]")
@click.option("--hours", type=int, metavar="N", help="Hours of logs.  [default: 24]")
@click.option("--offset-seconds", type=int, metavar="N", help="Move the digests off the full hour.  [default: 0]")
@click.option("--logs-per-hour", type=int, metavar="N", help="Logs per account and region.  [default: 4]")
@click.option("--events-per-log", type=int, metavar="N", help="Events in a log.  [default: 10]")
@click.option("--prefix", metavar="TEXT", help="Prefix of all keys, as it is (it may end in a slash).")
@click.option("--bucket", metavar="NAME", help="Bucket to sign for, where DEST is a folder.")
@click.option("--seed", type=int, metavar="N", help="Decides names, contents and stamps.  [default: 0]")
@click.option(
    "--rotate-keys-every", "key_rotation_hours", type=int, metavar="HOURS", help="New signing key that often."
)
@click.option("--spki-every", type=int, metavar="N", help="Publish each N-th key as SubjectPublicKeyInfo.")
@click.option(
    "--restart", "restarts", multiple=True, metavar="HOUR[:LOST]", help="New chain from that hour (0 = first)."
)
@click.option("--late-logs", type=int, metavar="HOURS", help="That often a log comes late, for a backfill digest.")
@click.option("--pending", type=int, metavar="N", help="Logs newer than the newest digest, in each chain.")
@click.option("--tamper", "tampers", multiple=True, metavar="RULE[:N][@REGION]", help="Tamper so that RULE is found.")
@click.option(
    "--lake", "queries", type=int, metavar="N", help="Write no trail, but saved results of N CloudTrail Lake queries."
)
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), help="Where the public keys go.")
@click.option("--manifest", "manifest_file", type=click.Path(path_type=Path), help="Where to write what to expect.")
@click.option("--no-sidecars", is_flag=True, help="Leave the signatures out of a folder, as a plain copy does.")
@click.option("--create-bucket", is_flag=True, help="Create the bucket first.")
@click.option("--force", is_flag=True, help="Write although something lies there.")
def command(dest: str, **options: Any) -> None:
    """Write a CloudTrail trail to DEST, a folder or s3://bucket[/prefix], signed with keys made for it.

    With --tamper RULE it is tampered with, so that `ctvalidate` finds RULE; see `ctvalidate explain` for the rules.
    With --lake it is saved results of queries instead, of the account, regions, start time and seed given. The command that
    validates what was written goes to standard output.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        _run(dest, options)
    except OSError as error:
        named = f"cannot write {error.filename}: " if error.filename else "cannot write: "
        _stop(f"{named}{error.strerror}" if error.strerror else str(error))
    except (ValueError, BotoCoreError, ClientError) as error:
        _stop(str(error))


def _run(dest: str, options: dict[str, Any]) -> None:
    from cloudtrail_validate.simulate import simulate

    where = Destination.parse(dest, options.pop("bucket"), options.pop("prefix"))
    tampers = options.pop("tampers")
    keys_file = options.pop("keys_file") or _default_keys(where)
    manifest_file = options.pop("manifest_file")
    flags = {name: options.pop(name) for name in ("no_sidecars", "create_bucket", "force")}
    queries = options.pop("queries")
    if queries is not None:
        results = _lake(where, queries, options, _sink(where, **flags), tampers)
        write_whole(keys_file, results.keys.as_json())
        if manifest_file is not None:
            write_whole(manifest_file, results.manifest.as_json())
        _summarize_lake(results, where, keys_file)
        place = where.text if where.folder is not None else f"s3://{where.bucket}/{where.prefix}"
        click.echo(shlex.join(["ctvalidate", "lake", place, "--public-keys", str(keys_file)]))
        return
    spec = _spec(where, options)
    simulation = simulate(spec, _sink(where, **flags), tampers)
    write_whole(keys_file, simulation.keys.as_json())
    if manifest_file is not None:
        write_whole(manifest_file, simulation.manifest.as_json())
    _summarize(simulation, where, keys_file)
    click.echo(shlex.join(_validation(simulation, where, keys_file)))


_OF_QUERIES: Final = frozenset({"accounts", "regions", "start_time", "seed"})


def _lake(
    where: Destination, queries: int, options: dict[str, Any], sink: Sink, tampers: Sequence[str]
) -> LakeSimulation:
    """Write results of queries. Raises ValueError for an option that says something of a trail."""
    from cloudtrail_validate.simulate import LakeSpec, simulate_lake

    given = {name: value for name, value in options.items() if value not in (None, ())}
    if beyond := sorted(given.keys() - _OF_QUERIES):
        raise ValueError(f"expected no --{beyond[0].replace('_', '-')} with --lake: it is about a trail")
    if len(given.get("accounts", ())) > 1:
        raise ValueError("expected one --account-id with --lake")
    start = given.get("start_time")
    newest = _full_hour(datetime.now(UTC))
    begin = _time(start) if start else newest - min(queries, _QUERIES_A_KEY) * HOUR
    accounts, regions, seed = (given.get(name) for name in ("accounts", "regions", "seed"))
    own = {"account": accounts[0] if accounts else None, "regions": regions, "seed": seed}
    said = {name: value for name, value in own.items() if value is not None}
    spec = LakeSpec(bucket=where.bucket, prefix=where.prefix, queries=queries, start=begin, **said)
    return simulate_lake(spec, sink, tampers)


def _summarize_lake(simulation: LakeSimulation, where: Destination, keys_file: Path) -> None:
    manifest = simulation.manifest
    found = [expected.rule for expected in manifest.expected()]
    told = f"planted {', '.join(sorted(set(found)))}: {plural(len(found), 'finding')} to expect"
    for line in (
        f"wrote {plural(manifest.results, 'result')} of {plural(len(manifest.queries), 'query', 'queries')} to {where.text}",
        f"{plural(len(simulation.keys), 'public key')} in {keys_file}",
        told if found else "nothing is tampered with",
    ):
        click.echo(printable(line), err=True)


def _spec(where: Destination, options: dict[str, Any]) -> TrailSpec:
    """The trail that the options describe; what is not given keeps the specification's default."""
    from cloudtrail_validate.simulate import TrailSpec

    given = {name: value for name, value in options.items() if value not in (None, ())}
    if not given.get("regions"):
        given.setdefault("multi_region", True)
    given["restarts"] = tuple(_restart(text) for text in given.get("restarts", ()))
    if quiet := given.get("quiet_regions"):
        given["regions"] = tuple(dict.fromkeys((*given.get("regions", TrailSpec.regions), *quiet)))
    start = given.pop("start_time", None)
    offset = timedelta(seconds=given.get("offset_seconds", 0))
    hours = given.setdefault("hours", TrailSpec.hours)
    now = datetime.now(UTC)
    given["start"] = _time(start) if start else _full_hour(now - NEWEST_AGE - offset) - hours * HOUR
    return TrailSpec(bucket=where.bucket, prefix=where.prefix, **given)


def _full_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _time(text: str) -> datetime:
    from dateutil.parser import isoparse

    try:
        return utc(isoparse(text))
    except ValueError:
        raise ValueError(f"expected a time such as 2026-01-01T00:00:00Z for --start-time, not {text!r}") from None


def _restart(text: str) -> tuple[int, int]:
    match = _RESTART.fullmatch(text)
    if match is None:
        raise ValueError(f"expected HOUR or HOUR:LOST for --restart, such as 12:2, not {text!r}")
    return int(match[1]), int(match[2] or 0)


def _default_keys(where: Destination) -> Path:
    if where.folder is None:
        return Path("ctvalidate-keys.json")
    folder = where.folder.resolve() if where.folder.name in ("", "..") else where.folder
    return folder.with_name(f"{folder.name}.keys.json")


def _sink(where: Destination, *, no_sidecars: bool, create_bucket: bool, force: bool) -> Sink:
    from cloudtrail_validate.simulate import FolderSink, S3Sink

    if where.folder is not None:
        if create_bucket:
            raise ValueError("expected s3://bucket as DEST for --create-bucket")
        if not force and where.folder.exists() and any(where.folder.iterdir()):
            raise ValueError(f"expected a new or empty folder, not {where.text!r} (--force writes into it)")
        return FolderSink(where.folder, sidecars=not no_sidecars)
    if no_sidecars:
        raise ValueError("expected a folder as DEST for --no-sidecars")
    client = _client()
    if create_bucket:
        _create(client, where.bucket)
    root = f"{where.prefix}/AWSLogs/" if where.prefix else "AWSLogs/"
    if not force and client.list_objects_v2(Bucket=where.bucket, Prefix=root, MaxKeys=1).get("KeyCount"):
        raise ValueError(f"expected nothing below s3://{where.bucket}/{root} (--force writes there)")
    return S3Sink(where.bucket, client, threads=UPLOADS)


def _client() -> S3Client:
    import botocore.session
    from botocore.config import Config

    client: Any = botocore.session.Session().create_client("s3", config=Config(max_pool_connections=UPLOADS))
    return cast("S3Client", client)


def _create(client: S3Client, bucket: str) -> None:
    from botocore.exceptions import ClientError

    region = client.meta.region_name
    try:
        if region in ("us-east-1", "aws-global"):
            client.create_bucket(Bucket=bucket)
        else:
            where: Any = {"LocationConstraint": region}  # the stubs list AWS's regions; other servers have theirs
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "BucketAlreadyOwnedByYou":
            raise


def _summarize(simulation: Simulation, where: Destination, keys_file: Path) -> None:
    manifest = simulation.manifest
    rules = sorted({planted.rule for planted in manifest.planted})
    found = sum(1 for _ in manifest.expected())
    written = f"{plural(manifest.digests, 'digest')} and {plural(manifest.logs, 'log')}"
    lines = [
        f"wrote {written} ({manifest.bytes_stored / 1e6:.1f} MB) to {where.text}",
        _extent(manifest),
        f"window {isoformat(manifest.start)} to {isoformat(manifest.end)}",
        f"{plural(len(simulation.keys), 'public key')} in {keys_file}",
        f"planted {', '.join(rules)}: {plural(found, 'finding')} to expect" if rules else "nothing is tampered with",
    ]
    if "log-pending" in rules and datetime.now(UTC) - manifest.as_of > HOUR:
        lines.append("the newest digest is over two hours old: the pending logs will count as a gap-tail")
    for line in lines:
        click.echo(printable(line), err=True)


def _extent(manifest: Manifest) -> str:
    """Which trail this is: where it writes digests."""
    accounts = plural(len(manifest.accounts), "account")
    if manifest.multi_region:
        return f"a multi-region trail of {accounts}: a digest an hour in each of {len(manifest.regions)} regions"
    return f"a single-region trail of {accounts}: digests in {manifest.regions[0]} only"


def _validation(simulation: Simulation, where: Destination, keys_file: Path) -> Sequence[str]:
    manifest = simulation.manifest
    source = ["--s3-bucket", where.bucket] if where.folder is None else ["--source", where.text]
    prefix = ["--s3-prefix", where.prefix] if where.prefix else []
    window = ["--start-time", isoformat(manifest.start), "--end-time", isoformat(manifest.end)]
    return ["ctvalidate", *source, *prefix, "--public-keys", str(keys_file), *window]


def _stop(message: str) -> NoReturn:
    """End with exit code 2 and one line."""
    raise SimulateError(printable(" ".join(message.split()))) from None
