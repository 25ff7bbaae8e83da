"""Asks AWS, one question at a time, and turns every refusal into a value."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore import xform_name
from botocore.exceptions import ClientError

from cloudtrail_validate.aws.errors import from_botocore
from cloudtrail_validate.aws.session import AWS_ERRORS, MALFORMED
from cloudtrail_validate.core.errors import AbsentError, ConfigurationError, StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.doctor.model import NOT_ASKED, Ask, Unread

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws

T = TypeVar("T")
MOST_PAGES: Final = 50  # of one listing: 50,000 rules or accounts; an answer that never ends is no answer
_DENIED_STATUS: Final = frozenset({401, 403})
_NAMED: Final = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")
_REGION_OFF: Final = frozenset({"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "OptInRequired"})
"""What services answer in a region that the account has not enabled: no permission would help."""
_NO_PERMISSION: Final = frozenset({Cause.KMS_DENIED, Cause.ARCHIVED, Cause.THROTTLED})
"""Causes that have an answer of their own, whatever status they come with."""


class Calls:
    """Asks what checks want to know; other questions are answered with `NOT_ASKED`, and nothing is sent.

    Thread-safe. `denied` collects what was refused, `failures` why each question failed that was not answered.
    """

    def __init__(self, aws: Aws, wanted: frozenset[Ask]) -> None:
        self.aws = aws
        self._wanted = wanted
        self._lock = threading.Lock()
        self._denied: list[Unread] = []
        self.failures: dict[Ask, StoreError] = {}

    @property
    def denied(self) -> tuple[Unread, ...]:
        """Every refusal for want of a permission, each action once, in order of the action."""
        by_action = {unread.action: unread for unread in self._denied}
        return tuple(by_action[action] for action in sorted(by_action))

    def ask(
        self, ask: Ask, parse: Callable[[Mapping[str, Any]], T], region: str | None = None, **parameters: Any
    ) -> T | Unread | None:
        """Return one answer, read by `parse`; None where AWS says that there is none; `Unread` for whatever goes wrong."""

        def call(client: Any) -> T:
            return parse(getattr(client, xform_name(ask.operation))(**parameters))

        return self.run(ask, call, region)

    def items(
        self, ask: Ask, name: str, parse: Callable[[Mapping[str, Any]], T], region: str | None = None, **parameters: Any
    ) -> tuple[T, ...] | Unread | None:
        """Return all items of a list that comes in pages, read one by one by `parse`."""

        def call(client: Any) -> tuple[T, ...]:
            pages: Iterable[Mapping[str, Any]] = client.get_paginator(xform_name(ask.operation)).paginate(**parameters)
            return tuple(parse(item) for page in islice(pages, MOST_PAGES) for item in page.get(name, ()))

        return self.run(ask, call, region)

    def run(self, ask: Ask, call: Callable[[Any], T], region: str | None = None) -> T | Unread | None:
        """Make a call of a question with the client that it needs, as `ask` does."""
        if ask not in self._wanted:
            return NOT_ASKED
        try:
            return call(self.aws.client(ask.service, region))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            return None if code in ask.absent else self._refused(ask, error, code)
        except AWS_ERRORS as error:
            failure = self._note(ask, error)
            return Unread("", failure.cause, f"{ask.name}: {failure.detail}")
        except ConfigurationError as error:
            return Unread("", Cause.NETWORK, f"{ask.name}: {error}")
        except MALFORMED as error:
            return Unread("", Cause.NETWORK, f"{ask.name}: this is no answer of AWS's: {type(error).__name__}")

    def _note(self, ask: Ask, error: Exception) -> StoreError:
        failure = from_botocore(error)
        noted = failure if isinstance(failure, StoreError) else StoreError(Cause.NETWORK, str(failure))
        with self._lock:
            self.failures[ask] = noted
        return noted

    def _refused(self, ask: Ask, error: ClientError, code: str) -> Unread:
        failure = self._note(ask, error)
        cause, detail = failure.cause, failure.detail
        if cause is Cause.KMS_DENIED and ask.service != "s3":
            cause = Cause.ACCESS_DENIED  # KMS itself refuses a question about a key, not to decrypt an object
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        denied = status in _DENIED_STATUS or cause is Cause.ACCESS_DENIED or "Denied" in code or "Unauthorized" in code
        if cause in _NO_PERMISSION or not denied or code in _REGION_OFF or not ask.grants:
            known = cause if cause is not Cause.ACCESS_DENIED else Cause.NETWORK
            return Unread("", known, f"{ask.name}: {detail}")
        named = _NAMED.search(str(error.response.get("Error", {}).get("Message", "")))
        action = named[1] if named and named[1] in ask.grants else ask.grants[0]
        unread = Unread(action, Cause.ACCESS_DENIED, "denied")
        with self._lock:
            self._denied.append(unread)
        return unread

    def forgive(self, unread: Unread) -> None:
        """Take back a refusal that another question has made up for."""
        with self._lock:
            self._denied = [each for each in self._denied if each.action != unread.action]


def settled(fact: T | Unread | None, otherwise: T) -> T | Unread:
    """Return a fact that cannot be absent: where AWS says there is none, `otherwise`."""
    return otherwise if fact is None else fact


__all__ = ["AbsentError", "Calls", "settled"]
