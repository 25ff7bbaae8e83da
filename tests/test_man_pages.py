"""The sdist holds a man page for each command, made from the command itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

import click
import pytest

from cloudtrail_validate.cli import SUBCOMMANDS, group
from cloudtrail_validate.cli.configuration import commands

ROOT: Final = Path(__file__).parents[1]
COMMANDS: Final = dict(commands(click.Context(group, info_name="ctvalidate")))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages out of an sdist that was built just now."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    found = {}
    with tarfile.open(next(folder.iterdir())) as archive:
        for member in archive:
            _, _, name = member.name.partition("/man/")
            if name:
                file = archive.extractfile(member)
                assert file is not None
                found[name] = file.read().decode("utf-8")
    return found


def test_every_command_has_its_page(pages: dict[str, str]) -> None:
    names = {f"ctvalidate-{name.replace(' ', '-')}.1" for name in COMMANDS}
    assert set(pages) == {"ctvalidate.1", *names}
    for name in SUBCOMMANDS:
        assert f"\\fB{name}\\fP" in pages["ctvalidate.1"]
    assert ".SH EXIT STATUS" in pages["ctvalidate.1"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_every_option_and_the_examples(name: str, pages: dict[str, str]) -> None:
    page = pages[f"ctvalidate-{name.replace(' ', '-')}.1"]
    plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fP", "")
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option):
            assert max(param.opts, key=len) in plain
    assert plain.partition(".SH EXAMPLES\n")[2].count("\nctvalidate ") >= 2
    assert "\b" not in page
    assert not re.search(r"20\d\d-\d\d-\d\d\"", page.partition("\n")[0]), "a date would make each build another"


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_groff_has_nothing_to_complain_of(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        command = ["groff", "-man", "-Tutf8", "-ww", "-k", "-z"]
        done = subprocess.run(command, input=page, capture_output=True, text=True, timeout=60, check=False)
        complaints = [
            line for line in done.stderr.splitlines() if "cannot adjust" not in line and "can't break" not in line
        ]
        assert complaints == [], name
