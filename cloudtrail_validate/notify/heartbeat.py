"""`--heartbeat URL`: fetched at the end of each completed run, so that somebody notices when no run comes to its end.

Whatever the verdict: findings are told by alerts, a heartbeat says that the job lives. Services that take an exit status
get it where the URL has a place for it: `{exit_code}` (`https://hc-ping.com/UUID/{exit_code}`) and `{verdict}`.
"""

from __future__ import annotations

from cloudtrail_validate.notify.http import Attempts, check_url, send, shown
from cloudtrail_validate.report import Verdict


def check_heartbeat(url: str) -> str:
    """The URL, if it can be one. Raises `RequestError`."""
    check_url("--heartbeat", _filled(url, Verdict.VALID, 0))
    return url


def beat(url: str, verdict: Verdict, exit_code: int, *, attempts: Attempts | None = None) -> None:
    """Fetch the URL. Raises `DeliveryError`, in whose text the URL's path does not stand."""
    send(_filled(url, verdict, exit_code), attempts=attempts)


def public_name(url: str) -> str:
    """The heartbeat as anybody may see it."""
    return f"heartbeat {shown(url)}"


def _filled(url: str, verdict: Verdict, exit_code: int) -> str:
    return url.replace("{exit_code}", str(exit_code)).replace("{verdict}", str(verdict))
