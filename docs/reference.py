"""Write docs/reference from the code: every command's help, every rule's text. `python docs/reference.py`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent / "reference"
WIDTH: Final = 100  # columns, as in the README


def pages() -> Mapping[str, str]:
    """Every page by its file's name."""
    sys.path.insert(0, str(FOLDER.parents[1]))
    try:
        return {"commands.md": "\n".join(_commands()), "rules.md": "\n".join(_rules())}
    finally:
        sys.path.pop(0)


def _commands() -> Iterator[str]:
    import click

    from cloudtrail_validate.cli import group
    from cloudtrail_validate.cli.configuration import commands

    root = click.Context(group, info_name="ctvalidate")
    found = dict(commands(root))
    yield "# Commands"
    yield ""
    yield "Made from the code (`python docs/reference.py`). `ctvalidate [OPTIONS]` alone is `ctvalidate validate [OPTIONS]`."
    yield ""
    yield "| command | |"
    yield "|---|---|"
    for name, command in found.items():
        yield f"| [`{name}`](#ctvalidate-{name.replace(' ', '-')}) | {command.get_short_help_str(120)} |"
    for name, command in found.items():
        context = click.Context(command, info_name=f"ctvalidate {name}", terminal_width=WIDTH, max_content_width=WIDTH)
        yield ""
        yield f"## ctvalidate {name}"
        yield ""
        yield "```text"
        yield re.sub(r"[ \t]+$", "", command.get_help(context), flags=re.MULTILINE).strip()
        yield "```"
    yield ""


def _rules() -> Iterator[str]:
    from cloudtrail_validate.core.rules import RULES

    yield "# Rules"
    yield ""
    yield "Made from the code (`python docs/reference.py`); `ctvalidate explain RULE` says the same."
    yield "What a status means for the exit code is in [Concepts](../concepts.md#four-kinds-of-answer)."
    for rule in RULES.values():
        also = f" or {rule.also}" if rule.also else ""
        taken = "takes it" if rule.tolerable else "refuses it"
        yield ""
        yield f"## {rule.id}"
        yield ""
        yield f"**{_plain(rule.title)}**: {rule.status}{also}; `--tolerate` {taken}."
        yield ""
        yield f"*When.* {_plain(rule.when)}"
        yield ""
        yield f"*Means.* {_plain(rule.means)}"
        yield ""
        yield f"*Does not mean.* {_plain(rule.does_not_mean)}"
        yield ""
        yield from (f"{number}. {_plain(step)}" for number, step in enumerate(rule.next_steps, 1))
    yield ""


def _plain(text: str) -> str:
    """Plain text as Markdown that shows it."""
    return re.sub(r"([*_`<>|\[\]])", r"\\\1", text)


def main(folder: Path = FOLDER) -> None:
    """Write the pages."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
