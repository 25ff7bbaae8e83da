"""All commands, by name."""

from __future__ import annotations

from typing import Final

import click

from cloudtrail_validate.cli import group
from cloudtrail_validate.cli.configuration import commands

ROOT: Final = click.Context(group, info_name="ctvalidate")
COMMANDS: Final = dict(commands(ROOT))
