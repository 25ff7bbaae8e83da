"""What goes from one process to another: stage values come through bytes as they were, and errors through pickle."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

import msgspec
import pytest

import cloudtrail_validate
from cloudtrail_validate.core import chain, findings, model, outcome, plan
from cloudtrail_validate.core import signature as keys
from cloudtrail_validate.core.copies import Displacement
from cloudtrail_validate.core.errors import StoreError
from cloudtrail_validate.core.model import Cause, Locator
from cloudtrail_validate.core.trouble import Trouble
from cloudtrail_validate.core.verdict import ExitCode
from cloudtrail_validate.distribute import parts, work
from cloudtrail_validate.engine import listing, stages, tasks
from cloudtrail_validate.stores.transfer import Broken

WHEN: Final = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
MODULES: Final = (stages, tasks, plan, model, findings, keys, outcome, work, parts, listing)
STRUCTS: Final = {
    f"{module.__name__.removeprefix('cloudtrail_validate.')}.{name}": found
    for module in (*MODULES, chain)
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__module__ == module.__name__
}
# What judges within one process and goes nowhere.
AT_HOME: Final = {"core.chain.JudgeInput", "core.chain.Judgement"}


def samples(kind: Any, depth: int = 0) -> Iterator[Any]:
    """Values of a type as an annotation names it: plain ones, and those at its edges."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        yield from samples(arguments[0], depth)
    elif origin in (typing.Union, types.UnionType):
        yield from (sample for one in arguments for sample in samples(one, depth))
    elif origin is typing.Literal:
        yield from arguments
    elif origin is tuple and arguments[-1] is Ellipsis:
        yield tuple(samples(arguments[0], depth + 1)) if depth < 6 else ()
        yield ()
    elif origin is tuple:
        yield tuple(next(samples(one, depth)) for one in arguments)
    elif origin in (dict, Mapping, typing.get_origin(Mapping[str, str])):
        yield {next(samples(arguments[0], depth)): next(samples(arguments[1], depth))}
        yield {}
    else:
        yield from _plain(kind, depth)


def _plain(kind: Any, depth: int) -> Iterator[Any]:
    if kind is None or kind is type(None):
        yield None
    elif kind in _SAMPLES:
        yield from _SAMPLES[kind]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from kind
    elif isinstance(kind, type) and issubclass(kind, (msgspec.Struct, tuple)):
        yield from _made(kind, depth)
    else:
        raise TypeError(f"there is no sample of {kind}")


def _made(kind: Any, depth: int) -> Iterator[Any]:
    """A struct or named tuple of each field's first sample, and one of each field's last."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields
    held = {name: list(samples(hints[name], depth + 1)) for name in names}
    yield kind(**{name: values[0] for name, values in held.items()})
    yield kind(**{name: values[-1] for name, values in held.items()})


_SAMPLES: Final[dict[Any, tuple[Any, ...]]] = {
    str: ("text", "", "Ümlaut\x1b\u202e🗝"),
    bytes: (b"\x00\xff", b""),
    int: (1, 0, 2**53 - 1),
    float: (0.5, 0.0),
    bool: (True, False),
    datetime: (WHEN, WHEN + timedelta(microseconds=1)),
    msgspec.UnsetType: (msgspec.UNSET,),
}


@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json], ids=["msgpack", "json"])
@pytest.mark.parametrize("name", [name for name in STRUCTS if name not in AT_HOME])
def test_a_stage_value_comes_through_bytes_as_it_was(name: str, codec: Any) -> None:
    kind = STRUCTS[name]
    for sample in samples(kind):
        assert codec.decode(codec.encode(sample), type=kind) == sample


@pytest.mark.parametrize("name", STRUCTS)
def test_a_stage_value_never_changes(name: str) -> None:
    kind = STRUCTS[name]
    assert kind.__struct_config__.frozen
    mutable = {field for field, hint in typing.get_type_hints(kind).items() if typing.get_origin(hint) in (list, set)}
    assert mutable == set()


def test_what_stays_at_home_is_there() -> None:
    assert STRUCTS.keys() >= AT_HOME
    assert {
        "engine.stages.ProvenChains",
        "engine.tasks.Settle",
        "core.plan.Plan",
        "distribute.work.Call",
    } <= STRUCTS.keys()


# Errors.

ARGUMENTS: Final[dict[str, Any]] = {
    "str": "a detail",
    "Cause": Cause.ARCHIVED,
    "Broken": Broken.TOO_LONG,
    "ExitCode": ExitCode.UNPROVEN,
    "Displacement": Displacement("b", "", "c", "d/"),
    "Trouble": Trouble.DNS,
    "Locator": Locator("b", "k"),
}
NOT_SENT: Final = {
    "_KeptError",  # carries botocore's own request out of its event handler, a few frames up
    "_Refusal",  # the command line's, of the process that reads it
}


def errors() -> dict[str, type[BaseException]]:
    """Every exception that the package defines."""
    out: dict[str, type[BaseException]] = {}
    for found in pkgutil.walk_packages(cloudtrail_validate.__path__, f"{cloudtrail_validate.__name__}."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        classes = [item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == found.name]
        out |= {item.__name__: item for item in classes if issubclass(item, BaseException)}
    return out


ERRORS: Final = errors()


@pytest.mark.parametrize("name", sorted(ERRORS.keys() - NOT_SENT))
def test_an_error_comes_through_pickle_as_it_was(name: str) -> None:
    kind = ERRORS[name]
    own = "__init__" in vars(kind) or any(
        "__init__" in vars(base) for base in kind.__mro__[1:-3] if base in ERRORS.values()
    )
    names = list(inspect.signature(kind.__init__).parameters.values())[1:] if own else []
    given = {item.name: ARGUMENTS[str(item.annotation).strip("'")] for item in names}
    error = kind(**given) if own else kind("a detail")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # what this process wrote
    assert type(again) is kind
    assert (str(again), again.args) == (str(error), error.args)
    assert {field: value for field, value in vars(again).items() if field != "ctx"} == vars(error)


def test_the_errors_of_stores_keep_what_is_judged_by() -> None:
    error = StoreError(Cause.KMS_DENIED, "no", code="AccessDenied")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # as above
    assert (again.cause, again.detail, again.code) == (Cause.KMS_DENIED, "no", "AccessDenied")
