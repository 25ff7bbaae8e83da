"""What a check is, what it asks of AWS, and what it answers. Values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Final

import msgspec

from cloudtrail_validate.core.model import Cause

if TYPE_CHECKING:
    from cloudtrail_validate.doctor.facts import Facts, Trail


class Axis(StrEnum):
    """The question that a check helps to answer."""

    NOTICE = "notice"
    UNDO = "undo"
    PREVENT = "prevent"


class Health(StrEnum):
    """What a check found, worst first. Unknown ranks below weak: both exit with 3, and what is seen to be weak is weak."""

    BAD = "bad"
    WEAK = "weak"
    UNKNOWN = "unknown"
    OK = "ok"


RANK: Final = {health: rank for rank, health in enumerate(Health)}


class Subject(StrEnum):
    """What a check looks at; one folder of checks each."""

    TRAIL = "trail"
    BUCKET = "bucket"
    POLICY = "policy"
    KEYS = "keys"
    ORGANIZATION = "organization"
    CALLER = "caller"


class Ask(msgspec.Struct, frozen=True):
    """One read operation of AWS.

    `actions` are the IAM actions that grant it, empty where none is needed; None where the action bears the operation's
    name. `absent` are the error codes by which the service says "there is none", which is an answer and no failure.
    """

    service: str
    operation: str
    actions: tuple[str, ...] | None = None
    absent: tuple[str, ...] = ()

    @property
    def grants(self) -> tuple[str, ...]:
        """IAM actions that allow it."""
        return (f"{self.service}:{self.operation}",) if self.actions is None else self.actions

    @property
    def name(self) -> str:
        """The operation as documentation spells it, `s3:GetBucketVersioning`."""
        return f"{self.service}:{self.operation}"


class Unread(msgspec.Struct, frozen=True):
    """A fact that could not be read. `action` is what a policy must allow, empty where that is not what is missing.

    `cause` is None where it was not asked: no check wanted it, or what it is about is not known.
    """

    action: str
    cause: Cause | None
    detail: str

    @property
    def denied(self) -> bool:
        """Whether a permission would help."""
        return self.cause is Cause.ACCESS_DENIED and bool(self.action)

    def __str__(self) -> str:
        return f"{self.action}: {self.detail}" if self.action else self.detail


NOT_ASKED: Final = Unread("", None, "not asked")


class Answer(msgspec.Struct, frozen=True):
    """What a check says of the facts. `evidence` may quote what AWS answered; it is made printable where it is shown.

    `missing` are IAM actions that would have let it say more.
    """

    health: Health
    evidence: str
    missing: tuple[str, ...] = ()


def ok(evidence: str) -> Answer:
    """Answer that all is well."""
    return Answer(Health.OK, evidence)


def weak(evidence: str) -> Answer:
    """Answer that somebody could do harm who should not, or that it would be noticed late."""
    return Answer(Health.WEAK, evidence)


def bad(evidence: str) -> Answer:
    """Answer that harm would pass unseen, or could not be undone, or is open to strangers."""
    return Answer(Health.BAD, evidence)


def unknown(*unread: Unread | str) -> Answer:
    """Answer that the facts do not suffice, and which permission is missing."""
    missing = dict.fromkeys(fact.action for fact in unread if isinstance(fact, Unread) and fact.denied)
    return Answer(Health.UNKNOWN, "; ".join(dict.fromkeys(map(str, unread))), tuple(missing))


def worst(answers: Iterable[Answer], otherwise: str) -> Answer:
    """Return the worst of several answers with everything that is not well in its evidence; `otherwise` where all is."""
    told = sorted((answer for answer in answers if answer.health is not Health.OK), key=lambda a: RANK[a.health])
    if not told:
        return ok(otherwise)
    missing = dict.fromkeys(action for answer in told for action in answer.missing)
    return Answer(told[0].health, "; ".join(dict.fromkeys(answer.evidence for answer in told)), tuple(missing))


Judge = Callable[["Facts"], Answer]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its texts, what it asks of AWS, how it is mended, who else asks for part of it, and its function.

    `title` says how it should be; `finds` what is weak or bad; `why` what an intruder gains otherwise. `remedy` are
    command lines for a POSIX shell, with names in braces that `names` fills in (quoted), or remarks that begin with `#`.
    """

    id: str
    subject: Subject
    axes: tuple[Axis, ...]
    title: str
    asks: tuple[Ask, ...]
    finds: str
    why: str
    remedy: tuple[str, ...]
    judge: Judge
    also: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[str, ...]:
        """IAM actions that the check's questions need, each once."""
        return tuple(dict.fromkeys(action for ask in self.asks for action in ask.grants))


def on_trail(judge: Callable[[Facts, Trail], Answer]) -> Judge:
    """Make a judge of one that needs the trail: where that could not be looked up, the answer is unknown."""

    @wraps(judge)
    def with_trail(facts: Facts) -> Answer:
        if isinstance(facts.trail, Unread):
            return unknown(facts.trail)
        return unknown("there is no trail") if facts.trail is None else judge(facts, facts.trail)

    return with_trail
