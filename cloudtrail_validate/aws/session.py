"""AWS as botocore resolves it: session, credentials, regions, endpoints, CA bundle. Everything but the hot path.

All of AWS's own environment variables and config files apply, because botocore reads them; what it resolved for S3 is
handed to obstore, so that both reach the same place in the same way. boto3 would add nothing here but 0.1 s of imports.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import is_valid_endpoint_url

from cloudtrail_validate.core.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Credential

CREDENTIAL_TTL: Final = timedelta(minutes=10)  # botocore refreshes with 10 minutes left, obstore asks again with 5
FALLBACK_REGION: Final = "us-east-1"
AWS_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError)
"""What a botocore call may raise; the last where a middlebox answers in AWS's place."""
MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What botocore, and whoever reads what it returns, trips over where an answer is cut short or not AWS's."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one bucket is reached. `endpoint` is None for AWS's own, `ca_bundle` PEM text."""

    region: str
    endpoint: str | None
    virtual_hosted: bool
    ca_bundle: str | None


class Aws:
    """One identity's way into AWS. Thread-safe.

    `connect` and `read` are seconds of silence after which a request fails, `attempts` how often it is made.
    """

    def __init__(
        self,
        *,
        profile: str | None = None,
        endpoint_url: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
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
        )
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._caller: str | None = None  # empty: asked, and refused
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._regions: dict[str, str] = {}
        try:
            self._session = botocore.session.Session(profile=profile)
            self._session.user_agent_extra = self.user_agent
            if role_arn is not None:
                _assume(self._session, role_arn, external_id)
            self.region = str(self._session.get_config_variable("region") or FALLBACK_REGION)
            found = self._session.get_credentials()
            if found is not None:
                found.get_frozen_credentials()  # where a role or a login stands in the way, it is now that this shows
        except (*AWS_ERRORS, *MALFORMED) as error:
            need = f"--role-arn: cannot assume {role_arn} (allow sts:AssumeRole)" if role_arn else "AWS configuration"
            raise ConfigurationError(f"{need}: {error}") from error
        if found is None:
            raise ConfigurationError(
                "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role provides them"
            )
        self._credentials = found

    def client(self, service: str, region: str | None = None) -> Any:
        """A botocore client of a service in a region, made once."""
        with self._lock:
            known = self._clients.get((service, region))
            if known is None:
                try:
                    known = self._session.create_client(
                        service,
                        region_name=region or self.region,
                        endpoint_url=self._endpoint_url,
                        config=self._config,
                    )
                except (BotoCoreError, ValueError) as error:
                    raise ConfigurationError(f"AWS configuration: {error}") from error
                self._clients[service, region] = known
            return known

    def s3_client(self, bucket: str) -> S3Client:
        """The client for a bucket, in the bucket's region."""
        client: S3Client = self.client("s3", self.bucket_region(bucket))
        return client

    def bucket_region(self, bucket: str) -> str:
        """The region a bucket lies in. HeadBucket tells it even to those it otherwise denies."""
        known = self._regions.get(bucket)
        if known is None:
            try:
                answer = self.client("s3").head_bucket(Bucket=bucket)
            except ClientError as error:
                answer = error.response
            except (BotoCoreError, ResponseParserError):
                answer = {}
            headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            known = self._regions.setdefault(bucket, headers.get("x-amz-bucket-region") or self.region)
        return known

    def bucket(self, bucket: str) -> Access:
        """How obstore reaches a bucket: what botocore resolved, in obstore's terms."""
        client = self.s3_client(bucket)
        region = self.bucket_region(bucket)
        options: dict[str, str] = getattr(client.meta.config, "s3", None) or {}
        style = options.get("addressing_style", "auto")
        url = urlsplit(client.meta.endpoint_url)
        host = url.hostname or ""
        amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        virtual = style == "virtual" or (style == "auto" and amazon and "." not in bucket)
        endpoint = f"{url.scheme}://{bucket}.{url.netloc}" if virtual else client.meta.endpoint_url
        return Access(region, endpoint, virtual, self._ca_bundle())

    def credentials(self) -> S3Credential:
        """The same credentials for obstore, which asks again when they expire; botocore refreshes them."""
        found = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": str(found.access_key),
            "secret_access_key": str(found.secret_key),
            "token": found.token,
            "expires_at": datetime.now(UTC) + CREDENTIAL_TTL,
        }

    def regions(self, service: str) -> tuple[str, ...]:
        """Every region in which botocore knows the service, of the partition of the session's region."""
        partition = self._session.get_partition_for_region(self.region)
        return tuple(self._session.get_available_regions(service, partition_name=partition))

    def caller_arn(self) -> str | None:
        """Who is running this, as STS says, asked once; None where it does not say."""
        with self._asking:
            if self._caller is None:
                try:
                    self._caller = str(self.client("sts").get_caller_identity()["Arn"])
                except (*AWS_ERRORS, *MALFORMED, ConfigurationError):
                    self._caller = ""
        return self._caller or None

    def account(self) -> str | None:
        """The caller's account, out of its ARN."""
        parts = (self.caller_arn() or "").split(":")
        return parts[4] if len(parts) > 4 else None

    def _ca_bundle(self) -> str | None:
        path = self._session.get_config_variable("ca_bundle")
        if not path:
            return None
        try:
            text = Path(str(path)).read_bytes().decode("ascii", "ignore")  # bundles bear names in UTF-8 as comments
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"AWS_CA_BUNDLE: expected a readable PEM file, got {path!r}: {error}") from error
        return text


def _assume(session: botocore.session.Session, role_arn: str, external_id: str | None) -> None:
    """Make the session act as a role, with credentials that botocore refreshes by itself."""
    source = session.get_credentials()
    if source is None:
        raise ConfigurationError("--role-arn: no AWS credentials found to assume the role with")
    extra = {"RoleSessionName": "ctvalidate"} | ({"ExternalId": external_id} if external_id else {})
    fetcher = AssumeRoleCredentialFetcher(session.create_client, source, role_arn, extra_args=extra)
    refreshing: Credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    session._credentials = refreshing  # type: ignore[attr-defined]  # what aws-cli's own plugins do
