"""Sorts the exceptions of obstore into the errors of a store."""

from __future__ import annotations

import re
from typing import Final

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from cloudtrail_validate.aws.errors import brief, by_code
from cloudtrail_validate.core.errors import AbsentError, StoreError

_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,400})</Message>")
_STATUS: Final = re.compile(r"non-2xx status code: ([0-9]{3})")


class UnaddressableError(Exception):
    """obstore cannot express this key, or cannot read a listing that holds such a key: ask botocore."""


Failure = StoreError | AbsentError | UnaddressableError


def from_obstore(error: Exception) -> Failure:
    """Sort an exception of obstore. Its text holds S3's own answer."""
    text = str(error)
    code = _CODE.search(text)
    if code is None:
        if type(error).__name__ == "InvalidPathError" or text.startswith("Could not parse path"):
            return UnaddressableError(text)
        if "xml" in text.lower() or "decoding response" in text.lower():
            return UnaddressableError(text)  # a key that XML 1.0 cannot hold: botocore asks for them URL-encoded
        if "non UTF-8" in text:
            return UnaddressableError(text)  # in a header, which whoever may write an object chooses
        status = _STATUS.search(text)
        if isinstance(error, FileNotFoundError):
            return AbsentError(brief(text))
        refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
        return by_code(status[1] if status else "403" if refused else "", brief(text))
    message = _MESSAGE.search(text)
    return by_code(code[1], message[1] if message else code[1])
