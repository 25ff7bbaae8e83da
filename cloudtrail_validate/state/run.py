"""Opens the state of a run, and makes it the next one when the run has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from cloudtrail_validate.aws.identity import make_session
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.outcome import Outcome
from cloudtrail_validate.core.plan import ExpectedPlace, Target
from cloudtrail_validate.core.recheck import parse_recheck
from cloudtrail_validate.core.text import printable
from cloudtrail_validate.engine.stages import RegionResult, Scope
from cloudtrail_validate.evidence.event_history import expiring_rule, lifecycle_rules
from cloudtrail_validate.report import StateRecord
from cloudtrail_validate.request import Request
from cloudtrail_validate.session import Session
from cloudtrail_validate.state.keeping import Loaded, load, save
from cloudtrail_validate.state.memory import Horizon, StateMemory, Used
from cloudtrail_validate.state.model import OpenFinding
from cloudtrail_validate.state.signing import Signature, open_signer
from cloudtrail_validate.state.storage import Storage, storage_of

SEES: Final = (
    "Hours called unchanged were not read again: their keys, ETags, sizes and times are those of the run that proved them. "
    "A listing cannot show what S3 itself would not show, and whoever can {} the state can vouch for anything."
)


class StateRun:
    """The state of one run: `memory` goes into the engine, `finish` saves what comes out of it.

    `open_before` is what was open before the run, None where nothing was remembered; `open_after` what is open after it.
    """

    def __init__(
        self, name: str, storage: Storage, loaded: Loaded, memory: StateMemory, signer: Signature | None = None
    ) -> None:
        self._signer = signer
        self._name = name
        self._storage = storage
        self._loaded = loaded
        self.memory = memory
        self.open_before = None if loaded.created else loaded.state.open
        self.open_after = loaded.state.open

    @property
    def opened(self) -> tuple[tuple[OpenFinding, ...] | None, tuple[OpenFinding, ...]]:
        """What was open before the run, and after it."""
        return self.open_before, self.open_after

    def remembered(self, target: Target) -> Target:
        """The target, with what is remembered among what must be there."""
        known = {ExpectedPlace(region.account, region.region) for region in self._loaded.state.regions}
        asked = {place for place in known if not target.accounts or place.account in target.accounts}
        return msgspec.structs.replace(target, expect=tuple(sorted({*target.expect, *asked})))

    def finish(
        self, outcome: Outcome, results: Sequence[RegionResult], scope: Scope, version: str
    ) -> tuple[Outcome, StateRecord]:
        """Conclude, and save the next state. An interrupted run saves nothing.

        Where it cannot be saved, the record says so: what was found is worth more than its memory.
        """
        ended, state, used = self.memory.conclude(outcome, results, scope)
        unsaved: str | msgspec.UnsetType = msgspec.UNSET
        if not outcome.interrupted:
            self.open_after = state.open
            signed = msgspec.structs.replace(state, version=version)
            try:
                save(self._storage, self._name, self._loaded, signed, self._signer)
            except ConfigurationError as error:
                unsaved = printable(str(error))
        return ended, self._record(used, len(state.open), unsaved)

    def _record(self, used: Used, open_findings: int, unsaved: str | msgspec.UnsetType) -> StateRecord:
        return StateRecord(
            target=self._name,
            created=used.created,
            saved=used.saved,
            listed_since=used.horizon.replace(microsecond=0) if used.horizon else None,
            hours=used.hours,
            read_within_days=used.read_within_days,
            open_findings=open_findings,
            sees=SEES.format("write" if self._signer is None else "sign"),
            owed_hours=used.owed or msgspec.UNSET,
            signed=True if self._signer is not None else msgspec.UNSET,
            unsaved=unsaved,
        )


async def open_state(request: Request, session: Session, source: str, now: datetime) -> StateRun | None:
    """Open what `--state` names; None where nothing is to be remembered. Raises `ConfigurationError`."""
    if request.state is None:
        return None
    aws, name = session.aws, request.state

    def client(bucket: str) -> Any:
        if aws is None:
            raise ConfigurationError(
                f"--state: {name} needs AWS, and --source works without it: expected a file or folder"
            )
        return aws.own_client(bucket)

    def kms(region: str) -> Any:  # as whoever runs the command, never as the role that reads
        if aws is not None and request.role_arn is None:
            return aws.client("kms", region)
        session = make_session(request.profile, trail_arn=request.trail_arn, regions=(region,), role_arn=None)
        return session.client("kms", region_name=region, endpoint_url=request.endpoint_url)

    def opened() -> StateRun:
        signer = open_signer(request.state_sign_with, kms) if request.state_sign_with is not None else None
        storage = storage_of(name, client)
        required = request.require_state
        loaded = load(storage, name, source, request.trail_arn, now, required=required, signer=signer)
        own = aws is not None and session.copy is None  # a copy has rules of its own
        lifecycle = lifecycle_rules(aws, session.target.bucket) if aws and own and not loaded.created else ()
        memory = StateMemory(
            loaded.state,
            created=loaded.created,
            horizon=Horizon(request.relist_days),
            recheck=parse_recheck(request.recheck) if request.recheck else None,
            expired=partial(expiring_rule, lifecycle),
        )
        return StateRun(name, storage, loaded, memory, signer)

    return await asyncio.to_thread(opened)
