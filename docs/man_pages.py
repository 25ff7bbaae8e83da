"""Build hook of the sdist: man pages of all commands, made from the code itself (click-man), under `man/`.

`python docs/man_pages.py FOLDER` writes them without building anything.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT: Final = Path(__file__).resolve().parents[1]
_EXIT_STATUS: Final = (
    (0, "everything is proven"),
    (1, "evidence of change: something is altered, missing or extra"),
    (2, "the command line or configuration is wrong; nothing was validated"),
    (3, "no evidence of change, but not everything could be proven"),
    (4, "nothing to validate was found"),
    (130, "interrupted, and no evidence of change until then"),
)


class ManPages(BuildHookInterface):
    """Adds `man/*.1` to the sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Write the pages beside the build and have them taken along."""
        self._folder = tempfile.TemporaryDirectory()
        for name, text in pages().items():
            path = Path(self._folder.name) / name
            path.write_text(text, encoding="utf-8")
            build_data["force_include"][str(path)] = f"man/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  # as above
        """Take the files away again."""
        self._folder.cleanup()


def pages() -> Mapping[str, str]:
    """Every page by its file's name: `ctvalidate.1`, `ctvalidate-keys-export.1`."""
    sys.path.insert(0, str(ROOT))
    try:
        return dict(_pages())
    finally:
        sys.path.remove(str(ROOT))


def _pages() -> Iterator[tuple[str, str]]:
    import click

    from cloudtrail_validate.cli import SUBCOMMANDS, group
    from cloudtrail_validate.cli.configuration import commands

    root = click.Context(group, info_name="ctvalidate")
    yield "ctvalidate.1", _page(root, list(SUBCOMMANDS.items())) + _exit_status()
    for name, command in commands(root):
        context = click.Context(command, info_name=f"ctvalidate {name}")
        yield f"ctvalidate-{name.replace(' ', '-')}.1", _page(context) + _examples(command.epilog or "")


def _page(context: Any, below: list[tuple[str, str]] | None = None) -> str:
    """The page that click-man makes, without its marks for help that is laid out by hand."""
    from click_man.core import generate_man_page, get_short_help_str
    from click_man.man import ManPage

    if below is None:
        return str(generate_man_page(context, version=_version(), date=" ")).replace("\b\n", "")
    page = ManPage(context.command_path)
    page.version, page.date = _version(), " "
    page.short_help = get_short_help_str(context.command)
    page.synopsis = " ".join(context.command.collect_usage_pieces(context))
    page.description = (context.command.help or "").strip()
    page.options = [param.get_help_record(context) for param in context.command.get_params(context)]
    page.commands = below
    return str(page)


def _examples(epilog: str) -> str:
    lines = [line.strip() for line in epilog.splitlines() if line.strip() not in ("", "\b", "Examples:")]
    if not lines:
        return ""
    told = "".join(f".TP\n{_safe(line)}\n" if line.startswith("# ") else f"{_safe(line)}\n" for line in lines)
    return f".SH EXAMPLES\n{told}"


def _exit_status() -> str:
    told = "".join(f".TP\n\\fB{code}\\fP\n{_safe(meaning)}\n" for code, meaning in _EXIT_STATUS)
    environment = (
        ".SH ENVIRONMENT\nEvery option may come from a variable: CTVALIDATE_ and its name, as in CTVALIDATE_TRAIL_ARN. "
        "Variables of the AWS CLI count as well.\n"
    )
    return f".SH EXIT STATUS\n{told}{environment}"


def _safe(line: str) -> str:
    """A line of text for groff: no request, no escape, hyphens that can be copied."""
    line = line.removeprefix("# ").replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _version() -> str:
    import tomllib

    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in pages().items():
        (folder / file).write_text(content, encoding="utf-8")
