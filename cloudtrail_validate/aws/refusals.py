"""One line for what stands in place of credentials, or of an object: which setting is wrong, or which step is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import botocore.session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    InfiniteLoopConfigError,
    MissingDependencyException,
    ProfileNotFound,
)

from cloudtrail_validate.aws.errors import ANY_ERROR, from_botocore
from cloudtrail_validate.core.errors import (
    AbsentError,
    AccessError,
    BucketAbsentError,
    ConfigurationError,
    StoreError,
)
from cloudtrail_validate.core.model import PASSING, Cause
from cloudtrail_validate.core.text import brief, printable
from cloudtrail_validate.core.trouble import OF_SETTINGS, Login, Trouble, advice, diagnose, refused

Profiles = Mapping[str, Mapping[str, Any]]
"""Every profile's settings by name, as botocore read them from the config and the credentials file."""
_NAMED: Final = 8  # profiles in a message about one that there is not
_ACTIONS: Final = {"AssumeRole": "sts:AssumeRole", "AssumeRoleWithWebIdentity": "sts:AssumeRoleWithWebIdentity"}


def refusal(
    error: Exception, profile: str, profiles: Profiles, role_arn: str | None = None
) -> ConfigurationError | AccessError:
    """Return what becomes of an exception that came in place of credentials of `profile`.

    `role_arn` is that of `--role-arn`, where it is that role which could not be assumed. `AccessError` is for a network
    that failed or a service that was busy, `ConfigurationError` for everything that a setting mends.
    """
    named = _setting_at_fault(error, profile, profiles)
    if named is not None:
        return ConfigurationError(named)
    failure = from_botocore(error)
    if not isinstance(failure, StoreError):
        failure = StoreError(Cause.NETWORK, str(failure))
    trouble = diagnose(failure.code, failure.detail)
    who, said = _who(profile, profiles, role_arn), printable(brief(failure.detail))
    if trouble is Trouble.DENIED and isinstance(error, ClientError):
        action = _ACTIONS.get(error.operation_name, error.operation_name)
        role = role_arn or str(profiles.get(profile, {}).get("role_arn") or os.environ.get("AWS_ROLE_ARN", ""))
        return ConfigurationError(f"{who}: {advice(trouble, permission=action, on=printable(role))} ({said})")
    if trouble in OF_SETTINGS:
        hint = advice(trouble, login=login_in(profile, profiles, error))
        return ConfigurationError(f"{who}: {trouble}: {hint} ({said})")
    if failure.cause in PASSING:
        return AccessError(f"{who}: {said}: {advice(trouble)}")
    return ConfigurationError(f"{who}: {said}")


def object_refused(
    error: Exception, doing: str, where: str, permission: str, login: Login | None = None
) -> ConfigurationError | AccessError:
    """Return the error about an object of the user's own that could not be read, written or listed.

    `error` is botocore's, a store's or a refusal already, `where` an `s3://` URI, and `permission` the IAM action that it
    takes.
    """
    if isinstance(error, (ConfigurationError, AccessError)):
        return error
    failure = error if isinstance(error, (StoreError, AbsentError)) else from_botocore(error)
    said = f"{doing} {printable(where)}"
    if isinstance(failure, BucketAbsentError):
        return ConfigurationError(f"{said}: there is no such bucket")
    if isinstance(failure, AbsentError):
        return ConfigurationError(f"{said}: there is no such object")
    return refused(failure, said, permission=permission, on=where, login=login)


def nobody(profile: str, profiles: Profiles) -> str:
    """Return the line for who has no credentials at all: what the profile lacks, or where they may come from."""
    held = profiles.get(profile, {})
    lacking = [name for name in ("sso_account_id", "sso_role_name") if name not in held]
    if "sso_session" in held and lacking:  # enough for a token, and so no error for botocore
        return f"AWS profile {printable(profile)}: has sso_session and lacks {' and '.join(lacking)}"
    return "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role provides them"


def login_in(profile: str, profiles: Profiles, error: BaseException | None = None) -> Login:
    """Return the login that a profile's credentials come from, its own or that of a profile it builds upon."""
    for name, held in chain(profile, profiles):
        if "login_session" in held:
            return Login("login", printable(name))
        if "sso_session" in held or "sso_start_url" in held:
            return Login("sso", printable(name))
    return Login("sso" if "SSO" in type(error).__name__ else "", printable(profile))


def chain(profile: str, profiles: Profiles) -> list[tuple[str, Mapping[str, Any]]]:
    """Return a profile and those that it takes its credentials from, each once."""
    out: dict[str, Mapping[str, Any]] = {}
    name = profile
    while name in profiles and name not in out:
        out[name] = profiles[name]
        name = str(profiles[name].get("source_profile", ""))
    return list(out.items())


def _setting_at_fault(error: Exception, profile: str, profiles: Profiles) -> str | None:
    """Return the line about a setting that is wrong by itself, None for an error that AWS or the network gave."""
    told, of = printable(brief(str(error))), f"of the profile {printable(profile)}"
    line: str | None = None
    match error:
        case ProfileNotFound():
            setting = next((name for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE") if name in os.environ), "--profile")
            line = f"{setting}: there is no profile {printable(str(error.kwargs.get('profile')))!r}{_others()}"
        case ConfigParseError():
            line = f"AWS_CONFIG_FILE: {told}"
        case InfiniteLoopConfigError():
            line = f"source_profile: the profiles lead in a circle: {told}"
        case MissingDependencyException() if "login" in told:
            line = f"login_session {of}: needs the AWS CRT: pip install 'ctvalidate[login]'"
        case CredentialRetrievalError() if error.kwargs.get("provider") == "custom-process":
            said = printable(brief(str(error.kwargs.get("error_msg", "")))) or "it failed and said nothing"
            line = f"credential_process {of}: {said}"
        case BotoCoreError() | ClientError():
            pass
        case _:
            line = _about_a_file(error, profile, profiles)
    return line


def _about_a_file(error: Exception, profile: str, profiles: Profiles) -> str:
    """Return the setting that an error is about, of those that make botocore open a file or start a program."""
    reason = printable(brief(getattr(error, "strerror", None) or str(error)))
    path = str(getattr(error, "filename", None) or "")
    shown = repr(printable(path))
    if path and path == os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return f"AWS_WEB_IDENTITY_TOKEN_FILE: cannot read {shown}: {reason}"
    for name, held in chain(profile, profiles):
        of = f"of the profile {printable(name)}"
        if path and path == held.get("web_identity_token_file"):
            return f"web_identity_token_file {of}: cannot read {shown}: {reason}"
        if "credential_process" in held:
            what = f"cannot run {shown}" if path else "expected JSON with Version, AccessKeyId and SecretAccessKey"
            return f"credential_process {of}: {what}: {reason}"
    return f"AWS configuration{f' ({printable(path)})' if path else ''}: {reason}"


def _who(profile: str, profiles: Profiles, role_arn: str | None) -> str:
    if role_arn:
        return f"--role-arn: cannot assume {printable(role_arn)}"
    held = profiles.get(profile, {})
    role = held.get("role_arn")
    if role:
        return f"role_arn of the profile {printable(profile)}: cannot assume {printable(str(role))}"
    return f"AWS profile {printable(profile)}" if held else "AWS configuration"


def _others() -> str:
    """Return the profiles that there are, for who mistyped one."""
    try:
        bare = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        there = list(bare.available_profiles)
    except ANY_ERROR:
        return ""
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"; there are {printable(', '.join(there[:_NAMED]))}{more}" if there else ""
