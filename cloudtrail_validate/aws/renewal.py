"""Fresh credentials in the middle of a run, once, where AWS says that those in use have expired.

boto3 refreshes by the time that it was told; AWS may end a session earlier, and a file of credentials may have been written
anew meanwhile. Beside that, requests fail at once that no retry can help: botocore would try an untrusted certificate six
times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from botocore.client import BaseClient
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.session import Session

from cloudtrail_validate.aws.errors import ANY_ERROR, told
from cloudtrail_validate.core.trouble import HOPELESS, Trouble, diagnose

_SIGNED_BY: Final = "ctvalidate_signed_by"  # names of our own in the context that botocore keeps of a request
_RENEWED: Final = "ctvalidate_renewed"
_DECISION: Final = "needs-retry.*.*"
"""Asked before botocore's own handler, which is registered as needs-retry.SERVICE: what lies deeper comes first."""


def give_up_the_hopeless(session: Session) -> None:
    """Have every client that a session makes from now on give up at once what no other try mends.

    The clients that fetch its credentials are among them: STS would else be asked three times behind a certificate that
    nobody trusts.
    """
    session.get_component("event_emitter").register_first(_DECISION, _hopeless)


def _hopeless(caught_exception: Any, **_: object) -> bool | None:
    """Return False for no other try, None to leave it to botocore."""
    if caught_exception is None:
        return None
    trouble = diagnose(type(caught_exception).__name__, told(caught_exception))
    return False if trouble in HOPELESS else None


class Renewal:
    """Renews one set of credentials. Thread-safe.

    `load` reads them anew from where they came from, None where they are not there any more; `refuse` is told of an
    access key that AWS has called expired.
    """

    def __init__(
        self, credentials: Credentials, load: Callable[[], Credentials | None], refuse: Callable[[str], None]
    ) -> None:
        self._credentials = credentials
        self._load = load
        self._refuse = refuse
        self._lock = threading.Lock()

    def renew(self, stale: str) -> bool:
        """Tell whether other credentials than those of the access key `stale` are at hand, fetched where need be."""
        with self._lock:
            if self._key() != stale:
                return True  # another request has renewed them
            self._refuse(stale)
            try:
                self._refresh()
                return self._key() != stale
            except ANY_ERROR:
                return False  # whoever gives them refuses: then they have expired, as AWS says

    def attach(self, client: BaseClient) -> None:
        """Have a client renew its credentials, and give up what is hopeless."""
        client.meta.events.register("before-sign", self._note_signer)
        client.meta.events.register_first(_DECISION, self._decide)  # type: ignore[arg-type]  # answers are wanted

    def _note_signer(self, request: Any, **_: object) -> None:
        request.context[_SIGNED_BY] = self._key()

    def _decide(self, response: Any, caught_exception: Any, request_dict: Any, **_: object) -> float | bool | None:
        """Return seconds to wait before another try, False for none; None leaves it to botocore."""
        if caught_exception is not None:
            return _hopeless(caught_exception)
        error = response[1].get("Error", {}) if response is not None and isinstance(response[1], dict) else {}
        if diagnose(str(error.get("Code", "")), str(error.get("Message", ""))) is not Trouble.EXPIRED:
            return None
        context = request_dict["context"]
        if context.get(_RENEWED):
            return False
        context[_RENEWED] = True
        return 0 if self.renew(str(context.get(_SIGNED_BY, ""))) else False

    def _key(self) -> str:
        return str(self._credentials.get_frozen_credentials().access_key)

    def _refresh(self) -> None:
        found = self._credentials
        if isinstance(found, RefreshableCredentials):
            setattr(found, "_expiry_time", datetime.now(UTC))  # noqa: B010  # by which botocore sees that it is time
            found.get_frozen_credentials()
            return
        fresh = self._load()
        if fresh is not None:
            found.access_key, found.secret_key, found.token = fresh.access_key, fresh.secret_key, fresh.token
