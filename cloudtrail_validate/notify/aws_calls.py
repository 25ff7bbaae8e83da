"""Calls to AWS made on behalf of a target: whatever botocore raises becomes a `DeliveryError` that names the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from cloudtrail_validate.aws.session import AWS_ERRORS, MALFORMED
from cloudtrail_validate.core.text import brief, printable
from cloudtrail_validate.notify.target import DeliveryError


def call(permission: str, ask: Callable[[], Any]) -> Any:
    """Make a call. `permission` is its IAM name, which a refusal has to tell."""
    try:
        return ask()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        denied = "denied" in code.lower() or code in ("AuthorizationError", "UnauthorizedOperation", "403")
        need = f" (allow {permission})" if denied else ""
        raise DeliveryError(printable(brief(f"{permission}: {code}{need}: {_message(error)}"))) from error
    except (*AWS_ERRORS, *MALFORMED) as error:
        raise DeliveryError(printable(brief(f"{permission}: {error}"))) from error


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
