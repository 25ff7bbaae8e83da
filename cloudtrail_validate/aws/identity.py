"""Makes the session that a run acts as.

Profiles, SSO, roles and MFA work as in the AWS CLI, whose caches are used and filled: who has signed in there is not asked
again here. A session that a caller of the library hands over is taken as it is.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    create_credential_resolver,
)
from botocore.utils import JSONFileCache

from cloudtrail_validate.aws.errors import ANY_ERROR
from cloudtrail_validate.aws.models import load_quickly
from cloudtrail_validate.aws.own_session import OwnSession
from cloudtrail_validate.aws.refusals import Profiles, login_in, nobody, refusal
from cloudtrail_validate.aws.renewal import give_up_the_hopeless
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.regions import choose_region
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.trouble import Login

if TYPE_CHECKING:
    from botocore.session import Session as BotocoreSession

    from cloudtrail_validate.aws.own_session import AnySession

ROLE_SESSION: Final = "ctvalidate"  # how CloudTrail names this tool in the events of a role that it assumed
_CACHE: Final = "ctvalidate_cli_cache"  # name of a component of the session, as botocore calls what it holds
_FROM_A_LOGIN: Final = frozenset({"assume-role", "sso", "login"})


class CliCache(JSONFileCache):
    """The AWS CLI's own files in `~/.aws/cli/cache`: one for each role, named by a hash of what was asked for.

    A home that cannot be written to, or a file that is cut short, means no more than that AWS is asked. `refused` are
    access keys that AWS has called expired, whatever the files say.
    """

    def __init__(self) -> None:
        super().__init__(str(Path("~/.aws/cli/cache").expanduser()))
        self.refused: set[str] = set()

    def __contains__(self, key: str) -> bool:
        try:
            held = self[key]["Credentials"]
            names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
            return all(isinstance(held[name], str) for name in names) and held["AccessKeyId"] not in self.refused
        except (LookupError, TypeError):
            return False

    def __setitem__(self, key: str, value: Any) -> None:
        try:
            super().__setitem__(key, value)
        except OSError:
            return


class _NoCache(dict[str, Any]):
    """Keeps nothing."""

    def __setitem__(self, key: str, value: Any) -> None:
        return


def make_session(
    profile: str | None = None,
    *,
    trail_arn: str | None = None,
    regions: Sequence[str] = (),
    role_arn: str | None = None,
    like: str = "",
) -> OwnSession:
    """Return a session of a profile (None: what the environment says) in the region that `choose_region` chooses.

    Raises `ConfigurationError` where there is no such profile, or no way to read it.
    """
    try:
        inner = botocore.session.Session(profile=profile)
        load_quickly(inner)
        give_up_the_hopeless(inner)
        configured = inner.get_config_variable("region")
        region = choose_region(
            trail_arn=trail_arn,
            asked=regions,
            environ=os.environ,
            configured=configured,
            role_arn=role_arn,
            like=like,
        )
        session = OwnSession(inner, region)
        cache = CliCache()
        inner.register_component(_CACHE, cache)
        resolver = create_credential_resolver(inner, cache=cache, region_name=region)  # type: ignore[arg-type]  # no dict
        # botocore has no public way to say who asks for a code; its own getpass would read one from standard input.
        setattr(resolver.get_provider("assume-role"), "_prompter", _mfa_prompter(inner))  # noqa: B010  # private, and the only way
        inner.register_component("credential_provider", resolver)
    except ANY_ERROR as error:
        raise refusal(error, profile or "default", {}) from error
    return session


def session_as(credentials: tuple[str, str, str | None] | None, profile: str | None, region: str | None) -> OwnSession:
    """Return a session of access key, secret key and token, None for whoever the profile and the environment say."""
    inner = botocore.session.Session(profile=profile)
    load_quickly(inner)
    if credentials is not None:
        inner.set_credentials(*credentials)
    return OwnSession(inner, region)


def assume_role(session: AnySession, role_arn: str, external_id: str | None, region: str) -> OwnSession:
    """Return a session that acts as a role, with credentials that botocore refreshes by itself.

    Raises `ConfigurationError` where `session` has no credentials to assume it with.
    """
    source = credentials_of(session, region)
    extra = {"RoleSessionName": ROLE_SESSION} | ({"ExternalId": external_id} if external_id else {})
    inner = inner_of(session)
    # A cache that keeps nothing: else a session that AWS has ended would be handed out again until its time is over.
    fetcher = AssumeRoleCredentialFetcher(inner.create_client, source, role_arn, extra_args=extra, cache=_NoCache())
    refreshing: Credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    acting = botocore.session.Session(profile=inner.instance_variables().get("profile"))
    acting.register_component("data_loader", inner.get_component("data_loader"))  # whose models are loaded already
    acting._credentials = refreshing  # type: ignore[attr-defined]  # set_credentials takes only such as never expire
    return OwnSession(acting, region)


def credentials_of(session: AnySession, region: str | None, *, role_arn: str | None = None) -> Credentials:
    """Return a session's credentials, fetched once, so that a role or a login in the way shows now.

    `role_arn` is that of `--role-arn`, where the session acts as it. Raises `ConfigurationError`, or `AccessError` where
    whoever gives them could not be reached.
    """
    try:
        if session.region_name is None:
            session.client("sts", region_name=region)  # botocore asks for a profile's role in the last client's region
        found = session.get_credentials()
        if found is not None:
            found.get_frozen_credentials()
    except ANY_ERROR as error:
        raise refusal(error, session.profile_name, profiles_of(session), role_arn) from error
    if found is None:
        raise ConfigurationError(nobody(session.profile_name, profiles_of(session)))
    return found


def inner_of(session: AnySession) -> BotocoreSession:
    """Return botocore's session, which alone knows the settings; boto3 has no public name for it."""
    inner: BotocoreSession = session._session
    return inner


def login_of(session: AnySession, found: Credentials) -> Login:
    """Return how a session came by its credentials."""
    method = str(found.method or "")
    login = login_in(session.profile_name, profiles_of(session))
    return login if login.method and method in _FROM_A_LOGIN else Login(method, printable(session.profile_name))


def profiles_of(session: AnySession) -> Profiles:
    """Return every profile's settings, none where the files cannot be read."""
    try:
        profiles: Profiles = inner_of(session).full_config.get("profiles", {})
    except ANY_ERROR:
        return {}
    return profiles


def refuse_cached(session: AnySession, access_key: str) -> None:
    """Have a session of `make_session` not take credentials from the AWS CLI's cache that AWS has called expired."""
    with suppress(*ANY_ERROR):  # a session of the caller's own has no such cache
        inner_of(session).get_component(_CACHE).refused.add(access_key)


def _mfa_prompter(inner: BotocoreSession) -> Callable[[str], str]:
    """Make what asks for an MFA code. It raises `ConfigurationError` where there is nobody to ask."""

    def ask(prompt: str) -> str:
        profile, device = printable(inner.profile or "default"), prompt.removeprefix("Enter MFA code for ").rstrip(": ")
        wanted = f"mfa_serial of the profile {profile}: a code of {printable(device)} is needed"
        if not _has_terminal():
            raise ConfigurationError(
                f"{wanted}, and there is no terminal to ask for it: run aws sts get-caller-identity --profile {profile} "
                "before (what it caches serves here), or use credentials without MFA"
            )
        try:
            return getpass.getpass(prompt)
        except (EOFError, OSError) as error:
            raise ConfigurationError(f"{wanted}, and none was given") from error

    return ask


def _has_terminal() -> bool:
    """Tell whether somebody can be asked: getpass itself would take whatever standard input holds for a code."""
    if sys.platform != "win32":
        try:
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        except OSError:
            pass
        else:
            return True
    return sys.stdin is not None and sys.stdin.isatty()
