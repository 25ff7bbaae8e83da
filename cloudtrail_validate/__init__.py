"""ctvalidate: proves whether AWS CloudTrail logs are what AWS delivered.

The library in one call::

    from datetime import UTC, datetime
    from cloudtrail_validate import Request, validate

    report = validate(Request(start=datetime(2026, 1, 1, tzinfo=UTC), trail_arn="arn:aws:cloudtrail:…"))

Names are loaded when they are first used, so that importing the package costs nothing.
"""

TYPE_CHECKING = (
    False  # type checkers know the name; the module itself is not imported before the guard of `start` stands
)
if TYPE_CHECKING:
    from cloudtrail_validate.api import Result, run, validate
    from cloudtrail_validate.core.errors import AccessError, ConfigurationError, RequestError
    from cloudtrail_validate.core.findings import Listener, Progress
    from cloudtrail_validate.report import ExitCode, Report, Verdict
    from cloudtrail_validate.request import Request

__all__ = [
    "AccessError",
    "ConfigurationError",
    "ExitCode",
    "Listener",
    "Progress",
    "Report",
    "Request",
    "RequestError",
    "Result",
    "Verdict",
    "run",
    "validate",
]

_HOMES = {
    "AccessError": "core.errors",
    "ConfigurationError": "core.errors",
    "ExitCode": "report",
    "Listener": "core.findings",
    "Progress": "core.findings",
    "Report": "report",
    "Request": "request",
    "RequestError": "core.errors",
    "Result": "api",
    "Verdict": "report",
    "run": "api",
    "validate": "api",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
