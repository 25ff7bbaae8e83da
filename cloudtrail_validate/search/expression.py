"""JMESPath on an event, within a budget: no expression runs for ever or fills the memory.

The language has no loops, but `[@, @] | [@, @] | …` doubles what is looked at with each step. So every step, and every value
that a step builds or walks, is taken from a budget a few times the size of the event. Pure.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import jmespath
import msgspec
from jmespath import exceptions, functions, visitor

from cloudtrail_validate.core.errors import RequestError
from cloudtrail_validate.core.text import printable

LONGEST: Final = 4_096  # characters of an expression; people's have some hundred
_STEPS: Final = 10_000  # for any event, ~1 µs each; people's expressions take some hundred
_STEPS_A_BYTE: Final = 4  # more for a large one: a projection visits each of its values some times
_WEIGHED: Final = frozenset({"multi_select_list", "multi_select_dict", "function_expression", "flatten", "slice"})
_EMPTY: Final[tuple[object, ...]] = ("", [], {})  # what is false in JMESPath, beside null and false
_LONGEST_TEXT: Final = 16 * 1024 * 1024  # characters that `join` may make


class TooLongError(Exception):
    """An expression was given up: it took more steps than the size of its event explains."""


class _Interpreter(visitor.TreeInterpreter):  # type: ignore[misc]  # jmespath has no types
    def __init__(self, budget: int) -> None:
        super().__init__(visitor.Options(custom_functions=_FUNCTIONS))
        self._left = budget

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooLongError
        value = super().visit(node, *args, **kwargs)
        if node["type"] in _WEIGHED:
            self._weigh(value)
        return value

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Both sides are weighed before they are compared, which walks them."""
        sides = [self.visit(child, value) for child in node["children"]]
        for side in sides:
            self._weigh(side)
        known = [{"type": "literal", "value": side, "children": []} for side in sides]
        return super().visit_comparator({**node, "children": known}, value)

    def _weigh(self, value: Any) -> None:
        """Take the number of values in `value` from the budget, shared ones as often as they occur."""
        stack = [value]
        while stack:
            item = stack.pop()
            self._left -= 1 + (len(item) >> 8 if isinstance(item, str) else 0)
            if self._left < 0:
                raise TooLongError
            if isinstance(item, (dict, list)):
                if len(item) > self._left:
                    raise TooLongError
                stack += item.values() if isinstance(item, dict) else item


class _Functions(functions.Functions):  # type: ignore[misc]  # jmespath has no types
    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]  # as above
    def _func_join(self, separator: str, array: list[str]) -> str:
        if len(separator) * len(array) + sum(map(len, array)) > _LONGEST_TEXT:
            raise TooLongError
        return separator.join(array)


_FUNCTIONS: Final = _Functions()


class Expression(msgspec.Struct, frozen=True):
    """A compiled expression: its test, and texts that an event must hold for it to be true.

    The test is given the event as a value and its size in bytes as JSON; it raises `TooLongError`.
    """

    holds: Callable[[Any, int], bool]
    literals: tuple[str, ...]


def compile_expression(text: str) -> Expression:
    """Return a compiled expression. Raises `RequestError` for what is none.

    It holds as JMESPath has it: where its value is neither null nor false nor empty. One that does not fit the event's types
    does not hold.
    """
    if len(text) > LONGEST:
        raise RequestError(f"--where: expected at most {LONGEST:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # of literals without quotes, which people write
            parsed = jmespath.compile(text).parsed
    except RecursionError:
        raise RequestError("--where: nested too deeply") from None
    except (exceptions.JMESPathError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RequestError(f"--where: no JMESPath expression: {printable(said)}") from error

    unknown = next(_unknown(parsed), None)
    if unknown is not None:
        raise RequestError(f"--where: JMESPath has no function {unknown}()")

    def test(value: Any, size: int) -> bool:
        try:
            found = _Interpreter(_STEPS + _STEPS_A_BYTE * size).visit(parsed, value)
        except RecursionError:
            raise TooLongError from None
        except (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError):
            return False
        return not (found is None or found is False or found in _EMPTY)

    return Expression(test, tuple(_literals(parsed)))


def _unknown(node: Any) -> Iterator[str]:
    """Names of functions that there are not. Calls of them are errors of the expression, not of an event."""
    stack = [node]
    while stack:
        item = stack.pop()
        if item["type"] == "function_expression" and item["value"] not in _FUNCTIONS.FUNCTION_TABLE:
            yield item["value"]
        stack += [child for child in item["children"] if isinstance(child, dict)]


def _literals(node: Any) -> Iterator[str]:
    """Texts that some field is compared with where all that is and-ed must hold."""
    if node["type"] == "and_expression":
        for child in node["children"]:
            yield from _literals(child)
    elif node["type"] == "comparator" and node["value"] == "eq":
        literals = [child["value"] for child in node["children"] if child["type"] == "literal"]
        if len(literals) == 1 and isinstance(literals[0], str) and any(map(_is_path, node["children"])):
            yield literals[0]


def _is_path(node: Any) -> bool:
    """Whether a node is a field of the event, however deep."""
    return node["type"] == "field" or (node["type"] == "subexpression" and all(map(_is_path, node["children"])))
