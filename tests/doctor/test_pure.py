"""Only `doctor.gather` reaches out: everything else takes values and returns values, and reads no clock."""

from __future__ import annotations

import ast
from typing import Final

import pytest

from tests.test_architecture import CLOCKS, EFFECTS, MODULES, PATHS, imports, inner_imports

PURE: Final = [name for name in MODULES if name.startswith("doctor") and not name.startswith("doctor.gather")]
READS_STYLE: Final = {"doctor.render.html": {"read_text"}}  # out of the package


@pytest.mark.parametrize("module", PURE)
def test_no_effects_outside_of_gather(module: str) -> None:
    tree = MODULES[module]
    used = {full.split(".")[0] for full in imports(tree)} & EFFECTS
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used |= {func.attr for func in called if isinstance(func, ast.Attribute)} & (CLOCKS | PATHS)
    used |= {func.id for func in called if isinstance(func, ast.Name)} & {"open", "print", "input"}
    assert used - READS_STYLE.get(module, set()) == set()
    assert not {other for other in inner_imports(module) if other.startswith(("doctor.gather", "aws", "runtime"))}


@pytest.mark.parametrize("module", [name for name in PURE if name.count(".") > 1 and ".render" not in name])
def test_checks_know_nothing_of_reports(module: str) -> None:
    known = {"doctor.report", "doctor.render", "doctor.plan", "doctor.template", "doctor.alerts", "doctor.results"}
    assert not {other for other in inner_imports(module) if other in known}
