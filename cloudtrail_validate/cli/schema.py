"""`ctvalidate schema [NAME]`: the JSON Schemas that `--format json` keeps."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="The JSON Schemas of the reports.")
@click.argument("name", type=click.Choice(["report", "doctor", "state"]), default="report", metavar="[NAME]")
def command(name: str) -> None:
    """Print the JSON Schema (2020-12) of the report, schema ctvalidate.report/1.

    With NAME `doctor`: that of `ctvalidate doctor --format json`, schema ctvalidate.doctor/1; with `state`: that of
    `ctvalidate state show --format json`, schema ctvalidate.state-view/1.
    """
    from cloudtrail_validate.doctor.render import json as doctor
    from cloudtrail_validate.report import json as report
    from cloudtrail_validate.state import view as state

    schemas = {"doctor": doctor.schema, "state": state.schema, "report": report.schema}
    schema = schemas[name]()
    click.echo(json.dumps(schema, indent=2))
