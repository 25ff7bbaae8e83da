"""Single digests: whatever goes wrong with one is about that one; references are kept within bounds, or read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from cloudtrail_validate.core import rules
from cloudtrail_validate.core.digest import LogReference, SignatureStatus
from cloudtrail_validate.core.errors import AbsentError, CustomerKeyError, StoreError
from cloudtrail_validate.core.model import Cause, Kind, Locator, Status
from cloudtrail_validate.engine.digest_reader import DigestReader, Observed
from cloudtrail_validate.engine.stages import ProvenDigest
from cloudtrail_validate.runtime.limits import RateLimiter, TryBudget
from tests.engine.memory import MemoryStore, VectorKeys
from tests.engine.stages_kit import REGION, Region, clean, key_of

T = TypeVar("T")


def with_proven(work: Callable[[Region, ProvenDigest], Awaitable[T]]) -> T:
    """Do something with a proven digest that names two logs, with nothing kept of it."""

    async def run() -> T:
        region = Region(clean())
        proven = await region.prove()
        region.reader.forget()
        region.store.asked.clear()
        return await work(region, next(item for item in proven.digests if item.entry.chain.kind is Kind.STANDARD))

    return asyncio.run(run())


def observed(error: Exception | None) -> Observed:
    async def work(region: Region, digest: ProvenDigest) -> Observed:
        if error is not None:
            region.store.failing[digest.entry.where.key] = error  # type: ignore[assignment]  # any, as a bug would raise
        keys = VectorKeys(clean()).region(REGION)
        return await region.reader.observe(digest.entry, keys)

    return with_proven(work)


def test_a_digest_is_read_with_the_logs_that_it_names() -> None:
    evidence, logs = observed(None)
    assert evidence is not None
    assert evidence.own is SignatureStatus.VALID
    assert len(logs) == 2


def test_one_that_is_not_there_is_no_evidence() -> None:
    assert observed(AbsentError("gone")) == (None, ())


@pytest.mark.parametrize(
    ("error", "rule", "status", "cause", "detail"),
    [
        (StoreError(Cause.ARCHIVED, "x"), rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE, Cause.ARCHIVED, "x"),
        (CustomerKeyError("y"), rules.DIGEST_MALFORMED, Status.ALTERED, None, "y"),
        (ZeroDivisionError("z"), rules.DIGEST_UNREADABLE, Status.UNVERIFIABLE, None, "internal error"),
    ],
)
def test_what_goes_wrong_is_a_finding_about_this_digest(
    error: Exception, rule: str, status: Status, cause: Cause | None, detail: str
) -> None:
    evidence, logs = observed(error)
    assert evidence is not None
    assert (evidence.own, logs) == (SignatureStatus.UNUSABLE, ())
    (finding,) = evidence.findings
    assert (finding.rule, finding.status, finding.cause) == (rule, status, cause)
    assert detail in str(finding.detail)


def test_references_are_read_again_where_they_were_not_kept() -> None:
    async def work(region: Region, digest: ProvenDigest) -> tuple[Any, Any, list[str]]:
        first = await region.reader.references(digest)
        region.reader.keep(digest.entry.where, first or ())
        return first, await region.reader.references(digest), list(region.store.asked)

    first, second, asked = with_proven(work)
    assert first == second
    assert {log.s3_object for log in first} == {key_of(clean(), f"{{log 4.{number}}}") for number in range(2)}
    assert len(asked) == 1


@pytest.mark.parametrize("error", [AbsentError("gone"), StoreError(Cause.NETWORK, "x"), None])
def test_references_of_other_bytes_than_were_proven_do_not_count(error: Any) -> None:
    async def work(region: Region, digest: ProvenDigest) -> object:
        if error is not None:
            region.store.failing[digest.entry.where.key] = error
            return await region.reader.references(digest)
        return await region.reader.references(replace(digest, sha256="0" * 64))

    assert with_proven(work) is None


def test_what_was_kept_first_goes_when_there_is_no_room() -> None:
    """Digests are proven newest first and their logs wanted oldest first."""
    budget = TryBudget(5)
    reader = DigestReader(MemoryStore({}), RateLimiter(1), budget)
    logs = tuple(LogReference("b", f"{number}", "", "") for number in range(2))
    places = [Locator("b", name) for name in "abc"]
    for where in places:
        reader.keep(where, logs)
    assert list(reader._kept) == places[1:]
    reader.keep(Locator("b", "huge"), logs * 10)  # more than all room: nothing else fits, nor it
    assert list(reader._kept) == []
    reader.keep(places[0], logs)
    reader.forget()
    assert budget.take(5)
