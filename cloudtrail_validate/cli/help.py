"""`ctvalidate help [COMMAND…]`: what `ctvalidate COMMAND --help` says."""

from __future__ import annotations

import click


@click.command("help", short_help="The help of a command.")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> int:
    """Show the help of COMMAND, without one that of ctvalidate."""
    here = context.find_root()
    for word in words:
        group = here.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{here.command_path} has no commands below it", context)
        _, found, _ = group.resolve_command(here, [word])
        if found is None:
            raise click.UsageError(f"no such command {word!r}", context)
        here = click.Context(found, info_name=word, parent=here)
    click.echo(here.get_help())
    return 0
