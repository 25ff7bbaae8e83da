"""S3 through botocore: slower, and able to address every key there is (empty and `..` segments, control characters)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from cloudtrail_validate.aws.errors import from_botocore
from cloudtrail_validate.aws.session import AWS_ERRORS
from cloudtrail_validate.core.gzip import Inflater
from cloudtrail_validate.core.model import Locator, ObjectInfo
from cloudtrail_validate.stores.protocol import Children

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

_PIECE_BYTES: Final = 1024 * 1024
T = TypeVar("T")


class ExactS3:
    """One bucket through one botocore client, its blocking calls on threads."""

    def __init__(self, bucket: str, client: S3Client, threads: ThreadPoolExecutor) -> None:
        self._bucket = bucket
        self._client = client
        self._threads = threads

    async def scan(self, prefix: str, after: str) -> AsyncIterator[Sequence[ObjectInfo]]:
        """Every key under a prefix that sorts behind `after`."""
        token: str | None = None
        while True:
            page = await self._page(prefix, after, token)
            yield [ObjectInfo(o["Key"], o["Size"], o["LastModified"]) for o in page.get("Contents", ())]
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return

    async def children(self, prefix: str) -> Children:
        """One level of a listing, all its pages."""
        folders: list[str] = []
        objects: list[ObjectInfo] = []
        token: str | None = None
        while True:
            page = await self._page(prefix, "", token, delimiter="/")
            folders += [item["Prefix"][len(prefix) : -1] for item in page.get("CommonPrefixes", ())]
            objects += [
                ObjectInfo(o["Key"], o["Size"], o["LastModified"])
                for o in page.get("Contents", ())
                if o["Key"] != prefix
            ]
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return Children(tuple(folders), tuple(objects))

    async def info(self, key: str) -> ObjectInfo | None:
        """The object of exactly this key, if there is one."""
        page = await self._page(key, "", None, limit=1)
        for item in page.get("Contents", ()):
            if item["Key"] == key:
                return ObjectInfo(key, item["Size"], item["LastModified"])
        return None

    async def get(self, where: Locator, make: Callable[[], Inflater]) -> tuple[Inflater, Mapping[str, str]]:
        """The object's content in a new inflater, and its user metadata."""

        def fetch() -> tuple[Inflater, Mapping[str, str]]:
            answer = self._client.get_object(Bucket=where.bucket, Key=where.key)
            inflater = make()
            for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
                inflater.feed(piece)
            return inflater, dict(answer["Metadata"])

        return await self._call(fetch)

    async def _page(
        self, prefix: str, after: str, token: str | None, *, delimiter: str = "", limit: int = 1000
    ) -> ListObjectsV2OutputTypeDef:
        options: dict[str, str] = {"StartAfter": after} if after else {}
        if token is not None:
            options["ContinuationToken"] = token
        if delimiter:
            options["Delimiter"] = delimiter
        return await self._call(
            lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=limit, **options)  # type: ignore[arg-type]  # optional strings
        )

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (*AWS_ERRORS, OSError) as error:
            raise from_botocore(error) from error
