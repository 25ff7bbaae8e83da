"""Values that shells complete: formats, rules, AWS profiles, regions."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudtrail_validate.report import formats

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _StringType = click.ParamType[str]
else:
    _StringType = click.ParamType  # older versions of click have no generic type

FORMATS: Final = (formats.TABLE, *formats.FORMATS)
REGIONS: Final = (
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1"),
    *("ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5"),
    *("ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1"),
    *("eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1"),
    *("me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1"),
    *("us-gov-west-1", "us-west-1", "us-west-2"),
)
"""For completion only, where no network is asked and botocore's data take too long to load: any region is taken."""
_SECTION: Final = re.compile(r"(?:profile\s+)?(?P<name>\S.*)")


class Completed(_StringType):
    """Text for which a shell is offered values; whoever uses it takes any."""

    name = "text"

    def __init__(self, values: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        return click.STRING.convert(value, param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - as above
        incomplete: str,
    ) -> list[CompletionItem]:
        """Values that begin like what was typed."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name, help=about) for name, about in self._values() if name.startswith(incomplete)]


def complete_values(option: click.Option) -> None:
    """Let a shell complete an option's values, where it takes text and its name says which."""
    values = _VALUES.get(option.name or "")
    if values is not None and option.type is click.STRING:
        option.type = Completed(values)


def _formats() -> Iterable[tuple[str, str]]:
    return ((name, "") for name in FORMATS)


def _rules() -> Iterable[tuple[str, str]]:
    from cloudtrail_validate.core.rules import RULES

    return ((rule.id, rule.title) for rule in RULES.values())


def _tolerable() -> Iterable[tuple[str, str]]:
    from cloudtrail_validate.core.rules import RULES

    return ((rule.id, rule.title) for rule in RULES.values() if rule.tolerable)


def _regions() -> Iterable[tuple[str, str]]:
    return ((name, "") for name in REGIONS)


def _profiles() -> Iterable[tuple[str, str]]:
    """Profiles of AWS's two files. A file that cannot be read has none: a shell is no place to say so."""
    import configparser

    found: set[str] = set()
    for variable, default in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(Path(os.environ.get(variable, default)).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, RuntimeError, configparser.Error):
            continue
        for section in parser.sections():
            match = _SECTION.fullmatch(section)
            if match and not section.startswith(("sso-session ", "services ")):
                found.add(match["name"].strip("\"'"))
    return ((name, "") for name in sorted(found))


_VALUES: Final[dict[str, Callable[[], Iterable[tuple[str, str]]]]] = {
    "format_": _formats,
    "output_format": _formats,
    "tolerate": _tolerable,
    "rules": _rules,
    "rule": _rules,
    "profile": _profiles,
    "region": _regions,
    "regions": _regions,
    "home_region": _regions,
    "quiet_regions": _regions,
}
