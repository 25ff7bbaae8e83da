"""The options that say what a run is about and who asks: those of `validate`, for every command that asks the same."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import fields
from typing import Any, Final, TypeVar

import click

from cloudtrail_validate import request
from cloudtrail_validate.cli.validate import command as validate
from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.request import Request

SCOPE: Final = frozenset(
    {
        *("trail_arn", "start_time", "end_time", "last", "bucket", "prefix", "also_buckets", "accounts", "regions"),
        *("expect", "source", "copy_of", "follow_links", "public_keys", "profile", "endpoint_url", "role_arn"),
        *("external_id", "tolerate"),
    }
)
_ALWAYS: Final = frozenset({"start_time", "end_time", "last", "progress", "no_progress"})  # of no field of a request
_OF_A_PART: Final = frozenset({"shard", "plan"})
_OF_A_STATE: Final = frozenset({"state", "require_state", "state_sign_with", "recheck", "max_duration", "relist"})
F = TypeVar("F", bound=Callable[..., Any])


def scope_options(function: F) -> F:
    """Give a command the options of `SCOPE`, as `validate` has them and in its order."""
    held: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
    held.extend(reversed([param for param in validate.params if param.name in SCOPE]))
    return function


def request_options(*, beside: Set[str] = frozenset(), without: Set[str]) -> Callable[[click.Command], click.Command]:
    """Give a command that validates all at once the options of a request, behind its own, but for those `without`.

    They are those of `validate` but for a state and parts; `beside` are further options of `validate`.
    """
    wanted = (_ALWAYS | beside | {field.name for field in fields(Request)}) - _OF_A_PART - _OF_A_STATE - without

    def give(command: click.Command) -> click.Command:
        command.params += [param for param in validate.params if param.name in wanted]
        return command

    return give


def check_role(role_arn: str | None, external_id: str | None) -> None:
    """Refuse a role to assume, or its external id, that cannot be meant: for commands that build no request."""
    try:
        request.check_role(role_arn, external_id)
    except RequestError as error:
        raise click.UsageError(printable(str(error))) from error
