"""`--config FILE`: options in TOML. Typed, and a key that is no option is one clear line.

    trail-arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"
    last = "26h"
    region = ["us-east-1", "eu-west-1"]

    [snapshot]
    to = "snapshots/today"

A key at the top is for every subcommand that has the option, a table is for one subcommand (`["keys export"]` for one below
another). Options that are repeated on the command line are lists, flags true or false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import click

from cloudtrail_validate.core.text import printable

MOST_BYTES: Final = 1024 * 1024  # a thousand times a long file
# A key of so many parts: tomllib's time and memory grow with their square, 40 kB of `a.a.a` took 1.6 GB.
_DOTTED: Final = re.compile(rb"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){64}""")
_NOT_HERE: Final = frozenset({"config", "help", "version"})  # options that no file can give
_WORDS: Final = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def load(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """Take a file's values as the defaults of the command that is run. Raises `click.UsageError`."""
    if value is None or context.resilient_parsing:
        return
    try:
        context.default_map = {**(context.default_map or {}), **_defaults(context, _read(Path(value)))}
    except ValueError as error:
        raise click.UsageError(f"--config: {printable(value)}: {printable(str(error))}", context) from error


def _read(path: Path) -> Mapping[str, Any]:
    """The file's tables. Raises ValueError with the reason."""
    import tomllib

    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ValueError(getattr(error, "strerror", None) or error) from error
    if len(data) > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES:,} bytes")
    if _DOTTED.search(data):
        raise ValueError("expected TOML whose keys have few parts")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"expected TOML: {error}") from error


def _defaults(context: click.Context, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of the context's command, by parameter. Raises ValueError for a key that is no option."""
    root = context.find_root()
    name = context.command_path.removeprefix(root.command_path).strip()
    own = {key: param for param in context.command.params for key in _keys(param)}
    at_top = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    unknown = [key for key in at_top if _plain(key) not in own]
    if unknown:
        everywhere = {key for _, command in commands(root) for param in command.params for key in _keys(param)}
        for key in unknown:
            _refuse_unless(key, everywhere)
    names = {path for path, _ in commands(root)}
    for table in tables.keys() - at_top.keys():
        if table not in names:
            raise ValueError(f"unknown table [{table}]{_nearest(table, names)}")
    for key in tables.get(name, {}):
        _refuse_unless(key, own.keys(), f" of {name}")
    values = at_top | tables.get(name, {})
    return {
        own[_plain(key)].name or "": _typed(key, value, own[_plain(key)])
        for key, value in values.items()
        if _plain(key) in own
    }


def commands(root: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words: `validate`, `keys export`."""

    def below(path: str, command: click.Command | None) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for name in command.list_commands(root):
                yield from below(f"{path} {name}".strip(), command.get_command(root, name))
        elif command is not None:
            yield path, command

    yield from below("", root.command)


def _keys(param: click.Parameter) -> list[str]:
    """The keys that name an option: its long names."""
    if not isinstance(param, click.Option):
        return []
    return [name for opt in param.opts if opt.startswith("--") and (name := _plain(opt[2:])) not in _NOT_HERE]


def _plain(key: str) -> str:
    return key.replace("_", "-")


def _refuse_unless(key: str, known: Any, where: str = "") -> None:
    if _plain(key) not in known:
        raise ValueError(f"unknown key {key!r}{where}{_nearest(_plain(key), known)}")


def _nearest(key: str, known: Any) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, sorted(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def _typed(key: str, value: Any, option: click.Parameter) -> Any:
    """A value as its option takes it. Raises ValueError where it is of another type."""
    if getattr(option, "is_flag", False):
        return _one(key, value, bool)
    kind = {click.INT: int, click.FLOAT: float}.get(option.type, str)
    if option.multiple if isinstance(option, click.Option) else False:
        values = value if isinstance(value, list) else [value]
        return [_one(key, item, kind) for item in values]
    if key == "show" and isinstance(value, int) and not isinstance(value, bool):
        return value
    return _one(key, value, kind)


def _one(key: str, value: Any, kind: type) -> Any:
    if kind is str and isinstance(value, date):  # TOML's own times are clearer than text; one without an offset is UTC
        return value.isoformat()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ValueError(f"{key}: expected {_WORDS[kind]}, got {value!r}"[:300])
    return value
