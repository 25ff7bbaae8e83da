"""Opens a key of AWS KMS for `--sign-with kms:ARN`, asked as the profile's own identity."""

from __future__ import annotations

from typing import Any

from cloudtrail_validate.aws.session import Aws
from cloudtrail_validate.aws.signing_kms import KmsSigner, open_kms
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.snapshot.signing import OPTION, as_of_snapshot


def open_signer(text: str, profile: str | None) -> KmsSigner:
    """The signer of `kms:ARN`. Raises `SnapshotError`."""

    def client(arn: str, region: str) -> Any:
        try:
            return Aws(profile=profile, like=arn).client("kms", region)
        except ConfigurationError as error:
            raise ConfigurationError(f"{OPTION}: {error}") from error

    return as_of_snapshot(open_kms, text, client, OPTION)
