"""What the tests of targets share: events, and the sender's surroundings on the tests' servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.core import rules
from cloudtrail_validate.notify.event import Event, build_event, still_open
from tests.report import samples
from tests.report.samples import chain, finding, log_key, report

if TYPE_CHECKING:
    from cloudtrail_validate.report import FindingRecord

ACCOUNT = "123456789012"  # moto's own


class Sender:
    """Surroundings with few attempts, and secrets that a test sets."""

    def __init__(self, **secrets: str) -> None:
        self._secrets = secrets

    def aws(self) -> Aws:
        return Aws(connect=2.0, read=5.0, attempts=1)

    def secret(self, name: str) -> str | None:
        return self._secrets.get(name)


def altered(hour: int = 5, number: int = 0, **more: Any) -> FindingRecord:
    """A log that was changed."""
    key = log_key(hour, number)
    return finding(rules.LOG_ALTERED, key, hours=(hour, hour + 1), expected=samples.GOOD, actual=samples.BAD, **more)


def gap() -> FindingRecord:
    """Two hours that nobody can vouch for."""
    return finding(rules.GAP_BROKEN, hours=(3, 5))


def changed() -> Event:
    """One log altered, one gap."""
    return build_event(report([chain(gaps=[("gap-broken", 3, 5)])], [altered(), gap()]))


def healed() -> Event:
    """The same, one day later, all well."""
    return build_event(report([chain(hours=48)], hours=48), still_open(changed()))


def many(number: int) -> Event:
    """As many altered logs."""
    return build_event(report([chain()], [altered(n % 24, n) for n in range(number)]))
