"""AWS as one boto3 session reaches it: clients, regions, endpoints, CA bundle, proxy. Everything but the hot path.

All of AWS's own environment variables and config files apply, because boto3 reads them; what it resolved for S3 is handed
to the store, so that both reach the same place in the same way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.utils import is_valid_endpoint_url

from cloudtrail_validate.aws.certificates import context_that_reads_once, share
from cloudtrail_validate.aws.endpoints import Access, access_to, ca_bundle_of, told_region, watch
from cloudtrail_validate.aws.errors import ANY_ERROR, AWS_ERRORS, MALFORMED, from_botocore
from cloudtrail_validate.aws.identity import (
    assume_role,
    credentials_of,
    inner_of,
    login_of,
    make_session,
    refuse_cached,
)
from cloudtrail_validate.aws.renewal import Renewal
from cloudtrail_validate.aws.s3_request import SignedRequest, sign_get, sign_list
from cloudtrail_validate.core.errors import ConfigurationError, StoreError
from cloudtrail_validate.core.model import Cause
from cloudtrail_validate.core.regions import choose_region
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.core.trouble import OF_SETTINGS, Login, diagnose

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from cloudtrail_validate.aws.own_session import AnySession
    from cloudtrail_validate.core.plan import Target

__all__ = ["AWS_ERRORS", "MALFORMED", "Access", "Aws"]

_MISDIRECTED: Final = frozenset({301, 302, 307, 400})


class Aws:
    """One identity's way into AWS. Thread-safe.

    `session` is who asks, None for whoever `profile` and the environment say; with `role_arn` it assumes that role first.
    `trail_arn`, `regions` and `like` say which region, and so which partition, is meant (`core.regions`). `connect` and
    `read` are seconds of silence after which a request fails, `attempts` how often it is made.
    """

    def __init__(
        self,
        session: AnySession | None = None,
        *,
        profile: str | None = None,
        endpoint_url: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        trail_arn: str | None = None,
        regions: Sequence[str] = (),
        like: str = "",
        connect: float = 10.0,
        read: float = 30.0,
        attempts: int = 5,
    ) -> None:
        if endpoint_url is not None and not is_valid_endpoint_url(endpoint_url):
            raise ConfigurationError(
                f"--endpoint-url: expected a URL such as https://s3.example.com, got {endpoint_url!r}"
            )
        self.user_agent = f"ctvalidate/{version('ctvalidate')}"
        self._endpoint_url = endpoint_url
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
            connect_timeout=connect,
            read_timeout=read,
            user_agent_extra=self.user_agent,
        )
        self._lock = threading.RLock()
        self._asking = threading.Lock()
        self._caller: str | None = None  # empty: asked, and refused
        self._clients: dict[tuple[str, str], Any] = {}
        self._regions: dict[str, str] = {}
        self._target: Target | None = None
        self._tls = context_that_reads_once()
        whence: dict[str, Any] = {"trail_arn": trail_arn, "regions": regions, "role_arn": role_arn, "like": like}
        source = session if session is not None else make_session(profile, **whence)
        self._session = source
        self.region = _region_of(self._session, **whence)
        self._trusted = ca_bundle_of(self._session)
        self._credentials = credentials_of(self._session, self.region)
        if role_arn is not None:
            self._session = assume_role(self._session, role_arn, external_id, self.region)
            self._credentials = credentials_of(self._session, self.region, role_arn=role_arn)
        self.login: Login = login_of(self._session, self._credentials)
        chain = inner_of(self._session).get_component("credential_provider")
        self._renewal = Renewal(self._credentials, chain.load_credentials, partial(refuse_cached, source))

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client of a service in a region, made once. Raises `ConfigurationError`."""
        with self._lock:  # a session makes one client at a time
            known = self._clients.get((service, region or self.region))
            if known is None:
                try:
                    known = self._session.client(  # type: ignore[call-overload]  # the stubs know literal names only
                        service,
                        region_name=region or self.region,
                        endpoint_url=self._endpoint_url,
                        config=self._config,
                    )
                except (*AWS_ERRORS, *MALFORMED, OSError) as error:
                    raise ConfigurationError(f"AWS configuration: {printable(str(error))}") from error
                self._renewal.attach(known)
                share(known, self._tls)
                if service == "s3":
                    known.meta.events.register("before-parameter-build.s3", self._expect_owner)
                    watch(known)
                self._clients[service, region or self.region] = known
            return known

    def s3_client(self, bucket: str) -> S3Client:
        """Return the client for a bucket, in the bucket's region. Raises as `bucket_region`."""
        client: S3Client = self.client("s3", self.bucket_region(bucket))
        return client

    def signed_get(self, bucket: str, key: str) -> SignedRequest:
        """Return the request for an object, for someone else to send. Blocking; raises as `s3_client` and `sign_get`."""
        return sign_get(self.s3_client(bucket), bucket, key)

    def signed_list(self, bucket: str, options: Mapping[str, Any]) -> SignedRequest:
        """Return the request for a page of a listing (`options` of ListObjectsV2). As `signed_get`."""
        return sign_list(self.s3_client(bucket), bucket, options)

    def own_client(self, bucket: str) -> Any:
        """Return a new S3 client for a bucket of one's own, which no trail's target limits. Raises as `bucket_region`."""
        with self._lock:
            target, self._target = self._target, None
            try:
                region = self.bucket_region(bucket)
            finally:
                self._target = target
            made = self._session.client("s3", region_name=region, endpoint_url=self._endpoint_url, config=self._config)
            self._renewal.attach(made)
            share(made, self._tls)
            return made

    def limit_to(self, target: Target) -> None:
        """Visit no bucket from now on that `target` does not allow: what a digest names is no invitation."""
        self._target = target

    def bucket_region(self, bucket: str) -> str:
        """Return the region a bucket lies in. HeadBucket tells it even to those it otherwise denies.

        Raises `StoreError` where S3 cannot be reached, or where the bucket may not be visited, and `ConfigurationError`
        for what is no bucket's name.
        """
        owner = self._owner(bucket)
        known = self._regions.get(bucket)
        if known is None:
            answer = self._ask(bucket, "head_bucket")
            told = told_region(answer)
            if told is None and _status(answer) in _MISDIRECTED:
                answer = self._ask(bucket, "list_objects_v2", MaxKeys=1)  # HEAD has no body to say more in
                told = told_region(answer)
                if told is None:
                    _raise_refusal(answer)
            region = told or self.region
            if owner is not None:
                self._check_owner(bucket, region, owner)
            known = self._regions.setdefault(bucket, region)
        return known

    def bucket(self, bucket: str) -> Access:
        """Return how a bucket is reached. Raises as `bucket_region`."""
        return access_to(self.s3_client(bucket), bucket, self._trusted, self._owner(bucket))

    def found_in(self, bucket: str, region: str) -> None:
        """Note that S3 itself says a bucket lies in a region, other than was found before."""
        self._regions[bucket] = region

    def frozen_credentials(self) -> tuple[str, str, str | None]:
        """Return access key, secret key and token as they are now; botocore refreshes them before."""
        found = self._credentials.get_frozen_credentials()
        return str(found.access_key), str(found.secret_key), found.token

    def renew(self, access_key: str) -> bool:
        """Tell whether other credentials than those of `access_key`, which have expired, are at hand. Blocking."""
        return self._renewal.renew(access_key)

    def regions(self, service: str) -> tuple[str, ...]:
        """Return every region in which boto3 knows the service, of the partition of this identity's region."""
        return tuple(self._session.get_available_regions(service, partition_name=self.partition))

    @property
    def partition(self) -> str:
        """Return the partition of this identity's region, such as aws-us-gov."""
        try:
            return str(self._session.get_partition_for_region(self.region))
        except BotoCoreError:  # of a region that botocore has not heard of
            return "aws"

    def caller_arn(self) -> str | None:
        """Return the caller's ARN, as STS says, asked once; None where it does not say."""
        with self._asking:
            if self._caller is None:
                try:
                    self._caller = str(self.client("sts").get_caller_identity()["Arn"])
                except (*ANY_ERROR, ConfigurationError):
                    self._caller = ""
        return self._caller or None

    def account(self) -> str | None:
        """Return the caller's account, out of its ARN."""
        parts = (self.caller_arn() or "").split(":")
        return parts[4] if len(parts) > 4 else None

    def _owner(self, bucket: str) -> str | None:
        """Return the account that a bucket must belong to, where it is known.

        Raises `StoreError` for one not to be visited.
        """
        target = self._target
        if target is None:
            return None
        if not target.may_visit(bucket):
            detail = f"it lies in the bucket {bucket}, which was not asked for"
            raise StoreError(Cause.ACCESS_DENIED, detail, code="ForeignBucket")
        return target.expected_owner(bucket)

    def _expect_owner(self, params: dict[str, Any], model: Any, **_: object) -> None:
        """Have S3 itself refuse a bucket that has come into other hands."""
        owner = self._owner(params["Bucket"]) if self._target is not None and "Bucket" in params else None
        if owner is not None and "ExpectedBucketOwner" in model.input_shape.members:
            params["ExpectedBucketOwner"] = owner

    def _check_owner(self, bucket: str, region: str, owner: str) -> None:
        """Ask S3 whether a bucket belongs to an account. Raises `StoreError` where it does not say so."""
        if _status(self._ask(bucket, "head_bucket", region)) == 403:
            detail = f"the bucket {bucket} does not belong to {owner}, or s3:ListBucket on it is denied"
            raise StoreError(Cause.ACCESS_DENIED, detail, code="ForeignBucket")

    def _ask(self, bucket: str, operation: str, region: str | None = None, **options: Any) -> Mapping[str, Any]:
        """Return S3's answer about a bucket, be it a refusal.

        Raises `StoreError`, and `ConfigurationError` for what is no bucket's name.
        """
        try:
            answer: Mapping[str, Any] = getattr(self.client("s3", region), operation)(Bucket=bucket, **options)
        except ClientError as error:
            return error.response
        except ParamValidationError as error:
            raise ConfigurationError(f"no bucket can be named {printable(bucket)!r}") from error
        except ANY_ERROR as error:
            raise from_botocore(error) from error
        return answer


def _raise_refusal(answer: Mapping[str, Any]) -> None:
    """Raise `StoreError` where S3 refuses who asks, or says that the bucket is elsewhere and not where."""
    error = answer.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    if code and diagnose(code, message) in OF_SETTINGS:
        raise StoreError(Cause.ACCESS_DENIED, f"{code}: {message}", code=code)


def _status(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _region_of(
    session: AnySession, *, trail_arn: str | None, regions: Sequence[str], role_arn: str | None, like: str
) -> str:
    """Return the region for everything that is asked (`choose_region`)."""
    return choose_region(
        trail_arn=trail_arn,
        asked=regions,
        explicit=inner_of(session).instance_variables().get("region"),
        environ=os.environ,
        configured=session.region_name,
        role_arn=role_arn,
        like=like,
    )
