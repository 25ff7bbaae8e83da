"""`ctvalidate demo`: the main job on a trail of its own making, and proof that it finds what was planted and no more."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloudtrail_validate.core.text import plural
from cloudtrail_validate.core.verdict import ExitCode

if TYPE_CHECKING:
    from cloudtrail_validate.report import Report
    from cloudtrail_validate.simulate import Manifest

TAMPERS: Final = (
    "log-altered@us-east-1",
    "log-missing@us-east-1",
    "log-extra@us-east-1",
    "log-trailing-data@eu-west-1",
    "digest-missing@eu-west-1",
    "digest-signature-missing@eu-west-1",
    "digest-moved@ap-northeast-1",
    "gap-restart@ap-northeast-1",
)
_Fact = tuple[str, str, str | None, str | None, str | None, str | None, str | None]


@click.command("demo", short_help="Simulate a trail, tamper with it, and find what was planted.")
@click.option("--seed", type=int, default=7, metavar="N", help="Decides what is planted where.  [default: 7]")
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep the trail and its keys in this new folder."
)
def command(seed: int, keep: Path | None) -> int:
    """Write an organization's trail, tamper with it in several ways, and validate it with the real engine.

    Exits 0 only if exactly what was planted was found.
    """
    if keep is not None:
        if keep.exists():
            raise click.UsageError(f"--keep: expected a folder that does not exist yet, got {str(keep)!r}")
        keep.mkdir(parents=True)
        return _demo(keep, seed)
    with tempfile.TemporaryDirectory(prefix="ctvalidate-demo-") as folder:
        return _demo(Path(folder), seed)


def _demo(folder: Path, seed: int) -> int:
    from rich.console import Console

    from cloudtrail_validate.api import run
    from cloudtrail_validate.report.table import render
    from cloudtrail_validate.request import Request
    from cloudtrail_validate.simulate import FolderSink, TrailSpec, simulate

    trail, keys = folder / "trail", folder / "keys.json"
    spec = TrailSpec(
        accounts=("111122223333", "444455556666"),
        organization_id="o-exampleorgid",
        regions=("us-east-1", "eu-west-1", "ap-northeast-1"),
        quiet_regions=("ap-northeast-1",),
        hours=48,
        logs_per_hour=8,
        late_logs=12,
        key_rotation_hours=20,
        seed=seed,
    )
    click.echo(
        f"Writing a multi-region trail of {len(spec.accounts)} accounts, {len(spec.all_regions)} regions (logs in"
        f" {len(spec.regions) - len(spec.quiet_regions)} of them) and {spec.hours} hours, and tampering with it …",
        err=True,
    )
    simulation = simulate(spec, FolderSink(trail), tampers=TAMPERS)
    keys.write_text(simulation.keys.as_json(), encoding="ascii")
    manifest = simulation.manifest
    request = Request(
        start=manifest.start, end=manifest.end, source=trail, public_keys=keys, trail_arn=manifest.trail_arn
    )
    result = run(request, now=manifest.as_of)
    render(result.report, Console(), tally=result.outcome.findings.tally, whole=not sys.stdout.isatty())
    return _compare(manifest, result.report)


def _compare(manifest: Manifest, report: Report) -> int:
    """Say whether the findings are what was planted, no more and no less."""
    planted = Counter(_fact(e.rule, e.status, e.key, e.account, e.region, e.start, e.end) for e in manifest.expected())
    found = Counter(_fact(f.rule, f.status, f.key, f.account, f.region, f.start, f.end) for f in report.findings)
    click.echo()
    for title, facts in (("planted and not found", planted - found), ("found and not planted", found - planted)):
        for rule, status, key, account, region, start, end in sorted(facts.elements(), key=str):
            click.echo(f"{title}: {status} {rule} {account} {region} {key or f'{start} to {end}'}")
    if planted != found:
        click.echo("demo: the findings are not what was planted; please report this")
        return ExitCode.UNPROVEN
    click.echo(
        f"demo: {plural(len(manifest.planted), 'tampering')} planted, all {plural(planted.total(), 'finding')} that"
        " they bring about were found, and nothing else."
    )
    return 0


def _fact(*values: object) -> _Fact:
    """A finding as both sides can tell it: an object by its key, hours by their times."""
    rule, status, key, account, region, start, end = (None if value is None else str(value) for value in values)
    return str(rule), str(status), key, account, region, None if key else start, None if key else end
