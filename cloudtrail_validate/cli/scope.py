"""The options that say what a run is about and who asks: those of `validate`, for every command that asks the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from cloudtrail_validate.cli.validate import command as validate

SCOPE: Final = frozenset(
    {"trail_arn", "start_time", "end_time", "last", "bucket", "prefix", "also_buckets", "accounts", "regions", "expect"}
    | {
        "source",
        "copy_of",
        "follow_links",
        "public_keys",
        "profile",
        "endpoint_url",
        "role_arn",
        "external_id",
        "tolerate",
    }
)
F = TypeVar("F", bound=Callable[..., Any])


def scope_options(function: F) -> F:
    """Give a command the options of `SCOPE`, as `validate` has them and in its order."""
    held: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
    held.extend(reversed([param for param in validate.params if param.name in SCOPE]))
    return function
