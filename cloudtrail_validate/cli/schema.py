"""`ctvalidate schema`: the JSON Schema that every `--format json` report keeps."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="The report's JSON Schema.")
def command() -> None:
    """Print the JSON Schema (2020-12) of the report, schema ctvalidate.report/1."""
    from cloudtrail_validate.report.json import schema

    click.echo(json.dumps(schema(), indent=2))
