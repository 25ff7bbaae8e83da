"""docs/ is a path: the index leads to every page, the reference is what the code says, and links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.test_readme import DOCUMENTS, ROOT, prose, text_of

DOCS: Final = ROOT / "docs"
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def linked(path: Path) -> set[Path]:
    """The files of this repository that a document links to."""
    targets = (target.partition("#")[0] for target in _LINK.findall(prose(path)) if "://" not in target)
    return {(path.parent / target).resolve() for target in targets if target}


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    """In a process of its own: a command that was once used without its group shows `--help` without `-h` ever after."""
    subprocess.run([sys.executable, DOCS / "reference.py", tmp_path], check=True, timeout=120)
    for name in ("commands.md", "rules.md"):
        assert text_of(DOCS / "reference" / name) == text_of(tmp_path / name), "python docs/reference.py writes it anew"


def test_the_index_leads_to_every_page() -> None:
    found, waiting = set[Path](), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md" or not page.exists():  # tests/test_readme.py names a broken link
            continue
        found.add(page)
        waiting += linked(page)
    assert set(DOCUMENTS) - found == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_elsewhere_are_whole_and_secure(path: Path) -> None:
    for target in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]{2,}(/[^\s<>]*)?|mailto:\S+@\S+", target), target


def test_project_urls_lead_to_what_is_here() -> None:
    """Links into this repository, as pages elsewhere show them (PyPI renders the README), are to files that exist."""
    for path in [*DOCUMENTS, ROOT / "pyproject.toml", ROOT / "action.yml"]:
        for name in re.findall(r"https://github\.com/ctvalidate/ctvalidate/blob/main/([\w./-]+)", text_of(path)):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_commands_of_the_recipes_are_what_the_reference_has() -> None:
    named = set(re.findall(r"^## ctvalidate (.+)$", text_of(DOCS / "reference" / "commands.md"), re.MULTILINE))
    for path in (DOCS / "how-to.md", DOCS / "start.md", DOCS / "evidence.md", DOCS / "install.md"):
        for word in re.findall(r"^ctvalidate ([a-z][a-z-]+)", text_of(path), re.MULTILINE):
            assert any(name.split()[0] == word for name in named), f"{path.name}: {word}"
