"""A server of worlds, and one identity that asks it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.servers.clients import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudtrail_validate.aws.session import Aws
    from tests.servers.answers import AnswerServer


@pytest.fixture(scope="session")
def answers() -> Iterator[AnswerServer]:
    """One server for all tests of a process; each test gives it a world."""
    from tests.servers.answers import answer_server

    with answer_server() as server:
        yield server


@pytest.fixture(scope="session")
def auditor(answers: AnswerServer) -> Aws:
    """The identity that asks. Made once: its clients cost a second."""
    from cloudtrail_validate.aws.session import Aws

    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("AWS_"):
                patch.delenv(name)
        for name, value in environment(answers.endpoint).items():
            patch.setenv(name, value)
        return Aws(endpoint_url=answers.endpoint, attempts=1)
