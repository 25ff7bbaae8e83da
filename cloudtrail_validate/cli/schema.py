"""`ctvalidate schema [NAME]`: the JSON Schemas that `--format json` keeps."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="The JSON Schemas of the reports.")
@click.argument("name", type=click.Choice(["report", "doctor"]), default="report", metavar="[NAME]")
def command(name: str) -> None:
    """Print the JSON Schema (2020-12) of the report, schema ctvalidate.report/1.

    With NAME `doctor`: that of `ctvalidate doctor --format json`, schema ctvalidate.doctor/1.
    """
    from cloudtrail_validate.doctor.render import json as doctor
    from cloudtrail_validate.report import json as report

    schema = doctor.schema() if name == "doctor" else report.schema()
    click.echo(json.dumps(schema, indent=2))
