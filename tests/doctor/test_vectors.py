"""Every weakness is a world, asked over HTTP; every check has one in which it is well and one in which it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtrail_validate.doctor.model import Health
from cloudtrail_validate.doctor.registry import CHECKS
from tests.doctor.worlds import VECTORS, examined, load, paths

if TYPE_CHECKING:
    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer


@pytest.mark.parametrize("path", paths(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vector(path: Path, answers: AnswerServer, auditor: Aws) -> None:
    vector = load(path)
    facts, result = examined(answers, auditor, vector)
    found = {check.id: answer.health for check, answer in result.answers if answer.health is not Health.OK}
    evidence = {check.id: answer.evidence for check, answer in result.answers}
    assert found == vector.expected, "; ".join(f"{check}: {evidence[check]}" for check in found)
    assert vector.evidence in evidence[path.parent.name]
    assert vector.reason.endswith(".")
    assert facts.now.tzinfo is not None


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_a_world_where_it_is_well_and_one_where_it_is_not(check: str) -> None:
    answers = {load(path).expected.get(check, Health.OK) for path in (VECTORS / check).glob("*.json")}
    assert Health.OK in answers
    assert answers & {Health.BAD, Health.WEAK}
    if "bad:" in CHECKS[check].finds:
        assert Health.BAD in answers
    if "weak:" in CHECKS[check].finds:
        assert Health.WEAK in answers


def test_every_folder_is_a_check() -> None:
    assert {path.name for path in VECTORS.iterdir()} == set(CHECKS)
