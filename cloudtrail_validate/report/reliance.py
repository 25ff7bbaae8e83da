"""What a report's proofs stand on besides the files: keys and who gave them, algorithms, the clock, the programs.

One sentence each, for readers who must say in their own report what they relied on. Pure.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from cloudtrail_validate.core.model import isoformat
from cloudtrail_validate.core.text import plural, printable
from cloudtrail_validate.report import PublicKeyRecord, Report, StateRecord


def relied_on(report: Report) -> tuple[str, ...]:
    """Sentences without a full stop, the roots first. What a file name or an endpoint says is made printable."""
    issued = [key for key in report.public_keys if key.source == "aws"]
    filed = [key for key in report.public_keys if key.source != "aws"]
    said = [
        "RSA signatures (PKCS#1 v1.5 with SHA-256) that CloudTrail's private keys alone can make, and SHA-256",
        *_issued(issued, report.request.endpoint_url if isinstance(report.request.endpoint_url, str) else None),
        *_filed(filed),
        *_remembered(report),
        f"The clock of the computer, which said {isoformat(report.run.started)}: it decides which hours are due",
        _programs(report),
    ]
    return tuple(said)


def _issued(keys: list[PublicKeyRecord], endpoint: str | None) -> Iterable[str]:
    if not keys:
        return
    regions = sorted({key.region for key in keys})
    asked = sorted(key.asked_at for key in keys if isinstance(key.asked_at, datetime))
    when = f", asked {isoformat(asked[0])}" if asked else ""
    when += f" to {isoformat(asked[-1])}" if asked and asked[-1] != asked[0] else ""
    where = f" at {endpoint}" if endpoint else " where AWS's configuration of the caller leads"
    yield printable(
        f"{plural(len(keys), 'public key')} as CloudTrail's ListPublicKeys in {', '.join(regions)} answered{where}{when}"
    )


def _filed(keys: list[PublicKeyRecord]) -> Iterable[str]:
    for name in sorted({key.file if isinstance(key.file, str) else "a file" for key in keys}):
        mine = [key for key in keys if (key.file if isinstance(key.file, str) else "a file") == name]
        sha256 = f" (SHA-256 {mine[0].file_sha256})" if isinstance(mine[0].file_sha256, str) else ""
        yield printable(
            f"{plural(len(mine), 'public key')} out of {name}{sha256}, which nobody compared with AWS in this run"
        )


def _remembered(report: Report) -> Iterable[str]:
    """What was not proven in this run, and by whose word it is."""
    if isinstance(report.state, StateRecord) and not report.state.created:
        saved = f", saved {isoformat(report.state.saved)}" if report.state.saved else ""
        signed = ", signed with the user's key" if report.state.signed is True else ""
        yield printable(
            f"The memory {report.state.target}{saved}{signed}, for hours whose files are listed as they were when an "
            "earlier run proved them; the keys that proved them are in that run's report"
        )


def _programs(report: Report) -> str:
    parts = [f"{report.tool.name} {report.tool.version}", f"Python {platform.python_version()}"]
    for package in ("cryptography", "isal", "msgspec"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # a bundle without metadata
            continue
    return f"The programs {', '.join(parts)} on {platform.system()}"
