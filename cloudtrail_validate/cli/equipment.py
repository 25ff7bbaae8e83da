"""What every subcommand has without asking for it: values from the environment and a file, a log, examples, completion.

`equip` is done to each command when it is loaded, so that one that is added later has it as well. The order in which a value
counts: command line, environment, file, default. An option's variables are `CTVALIDATE_COMMAND_OPTION` and
`CTVALIDATE_OPTION`; the latter is passed over where an option of the same name takes other values than this one does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

import click
from click.core import ParameterSource

from cloudtrail_validate.cli import completing, configuration, debugging
from cloudtrail_validate.cli.examples import EXAMPLES

PREFIX: Final = "CTVALIDATE_"
_WINDOW: Final = {"start_time": ("last",), "end_time": ("last",), "last": ("start_time", "end_time")}
_GIVEN: Final = (ParameterSource.COMMANDLINE,)


def equip(name: str, command: click.Command, examples: Iterable[tuple[str, str]] | None = None) -> click.Command:
    """Equip a command, and those below it where it is a group. Done again it changes nothing.

    `examples` are pairs of a purpose and a command line; without them those of `examples.EXAMPLES` are taken.
    """
    if isinstance(command, click.Group):
        for part, below in command.commands.items():
            equip(f"{name} {part}", below)
        return command
    options = [param for param in command.params if isinstance(param, click.Option)]
    for option in options:
        _from_environment(name, option)
        completing.complete_values(option)
        if option.name in _WINDOW and option.callback is None:
            option.callback = _window
    known = {option.name for option in options}
    command.params += [option for option in (_config(), _debug()) if option.name not in known]
    if not command.epilog:
        command.epilog = _told(EXAMPLES.get(name, ()) if examples is None else examples)
    return command


def variables(name: str, option: click.Option) -> list[str]:
    """The environment variables of an option, the one that counts first."""
    own = max(option.opts, key=len).lstrip("-").replace("-", "_").upper()
    return [f"{PREFIX}{name.replace('-', '_').replace(' ', '_').upper()}_{own}", f"{PREFIX}{own}"]


def _from_environment(name: str, option: click.Option) -> None:
    if option.envvar is not None and not isinstance(option.envvar, str):
        return  # equipped already
    own, shared = variables(name, option)
    value = os.environ.get(shared)
    fits = True
    if value is not None and isinstance(option.type, click.Choice):
        fits = value.lower() not in completing.FORMATS or value in option.type.choices
    option.envvar = [own, shared] if fits else [own]


def _config() -> click.Option:
    return click.Option(
        ["--config"],
        metavar="FILE",
        envvar=[f"{PREFIX}CONFIG"],
        is_eager=True,
        expose_value=False,
        callback=configuration.load,
        help="Take options from a TOML file; the command line and CTVALIDATE_… variables go before it.",
    )


def _debug() -> click.Option:
    return click.Option(
        ["--debug"],
        metavar="[FILE]",
        is_flag=False,
        flag_value=debugging.DEFAULT,
        envvar=[f"{PREFIX}DEBUG"],
        is_eager=True,
        expose_value=False,
        callback=debugging.begin,
        help=f"Write a log without secrets.  [default: {debugging.DEFAULT}]",
    )


def _window(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Leave out what file or environment say of the window where the command line says it in other words."""
    if context.get_parameter_source(option.name or "") in _GIVEN:
        return value
    others = _WINDOW[option.name or ""]
    return None if any(context.get_parameter_source(other) in _GIVEN for other in others) else value


def _told(examples: Iterable[tuple[str, str]]) -> str | None:
    lines = [line for purpose, command in examples for line in (f"# {purpose}", command, "")]
    return "\b\nExamples:\n" + "\n".join(f"  {line}".rstrip() or "\b" for line in lines[:-1]) if lines else None
