"""A command that ran in a process which goes on leaves its handlers of signals as they were."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.cli.helpers import call

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_handlers_of_signals_are_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    keys = str(tmp_path / "keys.json")
    assert call(capsys, "simulate", str(tmp_path / "lake"), "--lake", "1", "--keys", keys).code == 0
    assert call(capsys, "lake", str(tmp_path / "lake"), "--public-keys", keys).code == 0
    call(capsys, "--source", str(tmp_path), "--public-keys", keys, "--last", "1h")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
