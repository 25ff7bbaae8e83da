"""Errors that leave the library, and those that a store raises. All pickle: workers in other processes raise them too."""

from __future__ import annotations

from cloudtrail_validate.core.model import Cause


class RequestError(ValueError):
    """A request that cannot be carried out: one line that says what was expected. Nothing was sent anywhere."""


class ConfigurationError(Exception):
    """The command line or AWS configuration is wrong or lacks something: nothing could be validated."""


class AccessError(Exception):
    """AWS refused what is needed before anything could be read: one line that names the permission."""


class InternalError(AccessError):
    """An error of this tool, or an answer that it did not foresee: what was raised is its `__cause__`."""


class StoreError(Exception):
    """Tells that an object is there, or may be, and could not be read. `detail` is one line for people, `code` S3's code."""

    def __init__(self, cause: Cause, detail: str, *, code: str = "") -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (self.cause, self.detail, self.code)


class CustomerKeyError(StoreError):
    """The object is encrypted with a key that its writer provided (SSE-C).

    CloudTrail never does that, and only an edit of the bucket can bring it about: it counts as altered, not as
    unreadable. Those who judge objects catch it before `StoreError`.
    """

    def __init__(
        self, detail: str = "encrypted with a customer-provided key (SSE-C): CloudTrail never does that"
    ) -> None:
        super().__init__(Cause.ACCESS_DENIED, detail, code="InvalidRequest")

    def __reduce__(self) -> tuple[object, ...]:
        return CustomerKeyError, (self.detail,)


def _restored(cause: Cause, detail: str, code: str) -> StoreError:
    return StoreError(cause, detail, code=code)


class AbsentError(Exception):
    """Tells that there is no such object."""


class BucketAbsentError(AbsentError):
    """Tells that there is no such bucket or folder at all."""
