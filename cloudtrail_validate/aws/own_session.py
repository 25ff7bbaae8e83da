"""The session that a run makes for itself: what is used here of boto3's, and botocore alone behind it.

What boto3 adds to botocore, resources and managed transfers, nobody here asks for, and importing it takes a twentieth of the
time to the first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import Credentials
    from botocore.session import Session

    AnySession: TypeAlias = "boto3.Session | OwnSession"
    """A session of a caller of the library, or our own: either goes wherever the other goes."""


class OwnSession:
    """Asks AWS as a botocore session does, by the names that `boto3.Session` gives to it."""

    def __init__(self, inner: Session, region_name: str | None = None) -> None:
        self._session = inner  # boto3's name for it, too
        if region_name is not None:
            inner.set_config_variable("region", region_name)

    @property
    def profile_name(self) -> str:
        """Return the profile's name."""
        return self._session.profile or "default"

    @property
    def region_name(self) -> str | None:
        """Return the region for clients that name none."""
        region: str | None = self._session.get_config_variable("region")
        return region

    def client(self, service_name: str, **options: Any) -> Any:
        """Return a new client of a service. Raises botocore's exceptions."""
        return self._session.create_client(service_name, **options)

    def get_credentials(self) -> Credentials | None:
        """Return the session's credentials, None where there are none. Raises botocore's exceptions."""
        return self._session.get_credentials()

    def get_available_regions(self, service_name: str, partition_name: str = "aws") -> list[str]:
        """Return the regions of a partition in which botocore knows a service."""
        return self._session.get_available_regions(service_name, partition_name)

    def get_partition_for_region(self, region_name: str) -> str:
        """Return the partition of a region. Raises botocore's exceptions."""
        return self._session.get_partition_for_region(region_name)
