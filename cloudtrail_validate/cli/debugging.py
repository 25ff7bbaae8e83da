"""`--debug [FILE]`: a log of what the program does, fit to be sent to somebody: no secret of the environment gets in.

Taken are this program's own loggers and the warnings and notes of the libraries, never their debug output, which quotes
whole requests. What is written is redacted besides: values of secret variables and options wherever they occur, access key
ids, signatures, tokens, passwords in URLs.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

import click

from cloudtrail_validate.core.text import printable

if TYPE_CHECKING:
    from cloudtrail_validate.core.findings import Listener
    from cloudtrail_validate.core.model import Finding, Locator, Status

DEFAULT: Final = "ctvalidate-debug.log"
LOGGER: Final = "cloudtrail_validate"
_LIBRARIES: Final = ("boto3", "botocore", "urllib3", "distributed", "asyncio")
_YES: Final = frozenset({"1", "true", "yes", "on"})  # CTVALIDATE_DEBUG=1: tracebacks alone, as `last_words` shows them
_SECRET_VARIABLES: Final = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|EXTERNAL_ID|NOTIFY|HEARTBEAT|WEBHOOK|AUTHORIZATION"
)
_SECRET_OPTIONS: Final = frozenset({"--external-id", "--notify", "--heartbeat"})
_SHORTEST: Final = 6  # characters of a secret that is looked for: shorter ones would blot out words
_HIDDEN: Final = "***"
_PATTERNS: Final = (
    re.compile(r"\b(A[KS]IA)[A-Z0-9]{12,124}\b"),
    re.compile(
        r"(?i)((?:x-amz-(?:security-token|signature|credential)|authorization|signature|secret|password|passphrase|token"
        r"|external-?id)\w*[\"']?\s*(?:[:=]|%3D)\s*(?:AWS4-HMAC-SHA256\s+|Bearer\s+|Basic\s+)?[\"']?)[^\s\"',&;]+"
    ),
    re.compile(r"(://)[^/\s@]+@"),
)


def begin(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """Start the log, once. Raises `click.UsageError` where the file cannot be written."""
    if value is None or value.lower() in _YES or context.resilient_parsing or active():
        return
    try:
        descriptor = os.open(value, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.UsageError(f"--debug: cannot write {printable(value)}: {reason}", context) from error
    handler = _LogFile(os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace"))
    handler.setFormatter(_Redacted("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    own = logging.getLogger(LOGGER)
    own.addHandler(handler)
    own.setLevel(logging.DEBUG)
    own.propagate = False
    for name in _LIBRARIES:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.INFO)
    context.find_root().call_on_close(_end)
    _introduce(own, context)


def active() -> bool:
    """Whether a log is being written."""
    return any(isinstance(handler, _LogFile) for handler in logging.getLogger(LOGGER).handlers)


def _end() -> None:
    """Close the log, so that a second command in this process starts its own."""
    own = logging.getLogger(LOGGER)
    for handler in list(own.handlers):
        if isinstance(handler, _LogFile):
            for name in (LOGGER, *_LIBRARIES):
                logging.getLogger(name).removeHandler(handler)
            with suppress(OSError):  # a full disk, which was told of
                handler.stream.close()
    own.setLevel(logging.NOTSET)
    own.propagate = True


def _introduce(log: logging.Logger, context: click.Context) -> None:
    """What any reader of the log asks first."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    packages = []
    for package in ("ctvalidate", "click", "boto3", "botocore", "cryptography", "isal", "msgspec", "pycurl", "rich"):
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            packages.append(f"{package} (not found)")
    log.info("%s; Python %s on %s", ", ".join(packages), platform.python_version(), platform.platform())
    log.info("command line: %s", " ".join(_without_secrets(sys.argv[1:])))
    names = sorted(
        name for name in os.environ if name.startswith(("AWS_", "CTVALIDATE_")) or name.lower().endswith("_proxy")
    )
    log.info("%s; variables set: %s", context.command_path, ", ".join(names) or "none")


def _without_secrets(arguments: list[str]) -> list[str]:
    out: list[str] = []
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if out and out[-1] in _SECRET_OPTIONS:
            out.append(_HIDDEN)
        else:
            out.append(f"{name}={_HIDDEN}" if equals and name in _SECRET_OPTIONS else argument)
    return out


def redact(text: str) -> str:
    """`text` without what must not leave this computer."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET_VARIABLES.search(name):
            text = text.replace(value, _HIDDEN)
    for option, value in zip(sys.argv, sys.argv[1:], strict=False):
        if option in _SECRET_OPTIONS and len(value) >= _SHORTEST:
            text = text.replace(value, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: f"{match[1]}{_HIDDEN}", text)
    return text


class _LogFile(logging.StreamHandler[TextIO]):
    """The handler of `--debug`, to be told from those of whoever runs the command line in a process of their own."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  # logging's name and signature
        """Say once that the log ends here: a full disk changes no verdict."""
        if not self._failed:
            self._failed = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or "it takes no more"
            click.echo(f"ctvalidate: --debug: the log ends early: {reason}", err=True)


class _Redacted(logging.Formatter):
    """One line a record, tracebacks on lines of their own; nothing in it is obeyed by a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line) for line in redact(super().format(record)).split("\n"))


class LogListener:
    """Writes every finding and object to the log, and passes it on to whoever else listens."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._log = logging.getLogger(f"{LOGGER}.run")

    def finding(self, finding: Finding) -> None:
        """Log a finding."""
        self._log.info("found %s %s %s", finding.status, finding.rule, finding.where or finding.interval)
        if self._listener is not None:
            self._listener.finding(finding)

    def checked(self, where: Locator, status: Status | None, *, digest: bool) -> None:
        """Log an object that was looked at."""
        self._log.debug("checked %s %s: %s", "digest" if digest else "log", where, status or "valid")
        if self._listener is not None:
            self._listener.checked(where, status, digest=digest)
