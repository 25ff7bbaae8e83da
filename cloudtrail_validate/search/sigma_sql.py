"""Sigma's conditions as SQL over rows of events; imported only where the `sigma` extra is installed.

CloudTrail's events have what flat rows have not: lists, JSON of true and false where rules say 'true', numbers where rules
say '22'. A list meets a condition where one of its members does (Sigma specification, "Lists"; OR of the values).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import re2
from sigma.backends import sqlite
from sigma.conditions import ConditionFieldEqualsValueExpression
from sigma.types import (
    SigmaBool,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
)

SELECT: Final = "SELECT * FROM logs WHERE "
WHOLE: Final = "(event)"  # the column of all text of an event, for words without a field
MEMBERS: Final = "[]"  # ends the name of the column that holds a field's members, as a JSON list
_MEMBER: Final = "(member)"  # stands for one member of a list until it is written as SQL
_OF_MEMBERS: Final = (
    SigmaString,
    SigmaNumber,
    SigmaBool,
    SigmaRegularExpression,
    SigmaCompareExpression,
    SigmaCIDRExpression,
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,15})?")
# Fields of every event that are no lists and hold none (AWS CloudTrail User Guide, "CloudTrail record contents").
_PLAIN: Final = frozenset(
    {
        "eventVersion",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "sourceIPAddress",
        "userAgent",
        "errorCode",
        "errorMessage",
        "requestID",
        "eventID",
        "eventType",
        "eventCategory",
        "readOnly",
        "managementEvent",
        "recipientAccountId",
        "apiVersion",
        "sharedEventID",
        "vpcEndpointId",
        "userIdentity",
    }
)


def is_plain(field: str) -> bool:
    """Whether a field of that name is never a list, nor a member of one."""
    return field.partition(".")[0] in _PLAIN


_module: Any = sqlite  # the backend has no types
_Base: Any = _module.sqliteBackend


class Backend(_Base):  # type: ignore[misc]  # as above
    """pySigma's SQLite backend, for the table of `search.sigma` and the functions of `search.sigma_rows`."""

    # SQLite holds any text to be larger than any number.
    compare_op_expression: ClassVar[str] = "number({field}) {operator} {value}"

    def __init__(self) -> None:
        super().__init__(fulltext_field=WHOLE)

    def escape_and_quote_field(self, field: str) -> str:
        """Return a column's name; a member of a list has the column that SQLite gives it."""
        if field == _MEMBER:
            return "json_each.value COLLATE NOCASE"
        return str(super().escape_and_quote_field(field))

    def convert_condition_field_eq_val(self, cond: Any, state: Any) -> Any:
        """Return the SQL of one comparison: of the field, of a number written as text, of a list's members."""
        value = cond.value
        if isinstance(value, SigmaRegularExpression):
            _check(value)
        own = super().convert_condition_field_eq_val(cond, state)
        if not isinstance(value, _OF_MEMBERS):
            return own
        either = [own, *self._other_writing(cond, state)]
        if cond.field != _MEMBER and not is_plain(cond.field):
            member = ConditionFieldEqualsValueExpression(_MEMBER, value)
            column = self.escape_and_quote_field(cond.field + MEMBERS)
            inner = self.convert_condition_field_eq_val(member, state)
            either.append(f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {inner})")  # noqa: S608  # as quoted as the rest
        return own if len(either) == 1 else f"({' OR '.join(either)})"

    def convert_condition_field_eq_val_cidr(self, cond: Any, state: Any) -> str:
        """Return the SQL of an address in a network, IPv6 as well."""
        del state
        return f"in_network({self.escape_and_quote_field(cond.field)}, '{cond.value.network}')"

    def _other_writing(self, cond: Any, state: Any) -> list[str]:
        """A number as text, and text that is a number as number."""
        if isinstance(cond.value, SigmaNumber):
            text = ConditionFieldEqualsValueExpression(cond.field, SigmaString(str(cond.value)))
            return [str(super().convert_condition_field_eq_val(text, state))]
        if isinstance(cond.value, SigmaString) and _NUMBER.fullmatch(str(cond.value)):
            return [f"{self.escape_and_quote_field(cond.field)} = {cond.value}"]
        return []


def _check(value: Any) -> None:
    """Raise ValueError for an expression that the engine without backtracking does not take."""
    try:
        re2.compile(str(value.regexp))
    except re2.error as error:
        raise ValueError(f"a regular expression that cannot be run: {error}") from error


def condition_of(sql: str) -> str:
    """Return what stands after WHERE. Raises ValueError."""
    if not sql.startswith(SELECT):
        raise ValueError(f"unexpected SQL: {sql[:60]}")
    return sql.removeprefix(SELECT)
