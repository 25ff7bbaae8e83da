"""Vectors of the doctor: a world that differs from the healthy one, and what every check must answer in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cloudtrail_validate.doctor.examine import Examined, examine
from cloudtrail_validate.doctor.facts import Facts, LastProof, Scope
from cloudtrail_validate.doctor.gather import gather
from cloudtrail_validate.doctor.model import NOT_ASKED, Check, Health
from cloudtrail_validate.doctor.registry import CHECKS
from tests.servers.answers import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloudtrail_validate.aws.session import Aws
    from cloudtrail_validate.doctor.model import Ask
    from tests.servers.answers import AnswerServer

HERE: Final = Path(__file__).parent
VECTORS: Final = HERE / "vectors"
NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
TRAIL: Final = "arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scope of a vector; an empty `trail_arn` asks for none."""

    trail_arn: str = TRAIL
    bucket: str = ""
    prefix: str | None = None
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    retention_days: int = 365

    @property
    def scope(self) -> Scope:
        return Scope(
            trail_arn=self.trail_arn or None,
            bucket=self.bucket or None,
            prefix=self.prefix,
            accounts=self.accounts,
            regions=self.regions,
            functions=self.functions,
            retention_days=self.retention_days,
        )


class Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    finished: datetime
    exit_code: int


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`expected` is every check that is not ok; `evidence` is in the evidence of the check that the folder is named for."""

    reason: str
    expected: dict[str, Health]
    evidence: str = ""
    scope: Asked = Asked()
    last: Last | None = None
    calls: dict[str, Any] = {}
    objects: tuple[str, ...] | None = None


@cache
def healthy() -> World:
    """The world in which every check is ok."""
    value = json.loads((HERE / "healthy.json").read_text("utf-8"))
    return World(value["calls"], tuple(value["objects"]))


def paths() -> list[Path]:
    return sorted(VECTORS.glob("*/*.json"))


def load(path: Path) -> Vector:
    return msgspec.json.decode(path.read_bytes(), type=Vector)


def world_of(vector: Vector) -> World:
    base = healthy()
    return World({**base.calls, **vector.calls}, base.objects if vector.objects is None else vector.objects)


def gathered(
    server: AnswerServer, aws: Aws, world: World, scope: Scope | None = None, checks: Iterable[Check] | None = None
) -> Facts:
    """The facts of a world."""
    server.world = world
    wanted: frozenset[Ask] = frozenset(ask for check in checks or CHECKS.values() for ask in check.asks)
    return gather(aws, scope or Asked().scope, wanted, NOW, NOT_ASKED)


def examined(server: AnswerServer, aws: Aws, vector: Vector) -> tuple[Facts, Examined]:
    facts = gathered(server, aws, world_of(vector), vector.scope.scope)
    if vector.last is not None:
        last = LastProof(vector.last.finished, vector.last.exit_code, "report.json")
        facts = msgspec.structs.replace(facts, last=last)
    return facts, examine(facts, CHECKS.values())
