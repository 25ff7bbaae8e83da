"""The page of one event is one sheet on A4 and on US Letter, whatever the event holds, and all of it on a screen."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from cloudtrail_validate.search.event_page import page
from tests.report.browser import Browser, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID: Final = "6a7d5a79-388e-431d-afe4-bb07d39b3b1a"
PAPER: Final = {"A4": (8.27, 11.69), "US Letter": (8.5, 11.0)}  # inches
LOG: Final = "111122223333_CloudTrail_us-east-1_20261127T0855Z_CPlqFtISJbWp8rVV.json.gz"
KEY: Final = f"AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/27/{LOG}"


def steps(prefix: str = "") -> list[str]:
    return [
        f"file         s3://amzn-s3-demo-bucket/{prefix}{KEY}",
        f"SHA-256      {'a' * 64} (of the inflated content)",
        f"named by     s3://amzn-s3-demo-bucket/{prefix}{KEY}: the same",
        "hours        2026-11-27T09:00:00Z to 2026-11-27T10:00:00Z",
        f"signature    that of its successor s3://amzn-s3-demo-bucket/{prefix}{KEY}, SHA256withRSA, valid",
        f"key          {'b' * 32} of us-east-1, valid 2026-11-01T00:00:00Z to 2026-12-01T00:00:00Z, from CloudTrail",
        "result       proven: CloudTrail delivered this file, and it is unchanged",
    ]


def event(**changes: Any) -> dict[str, Any]:
    return {"eventName": "StopInstances", "eventTime": "2026-11-27T09:00:00Z", "eventID": ID} | changes


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


EVENTS: Final[dict[str, tuple[dict[str, Any], str, bool]]] = {
    # the event, the prefix of keys, whether all of it is on the sheet
    "usual": (event(requestParameters={f"name{number}": "value" for number in range(40)}), "", True),
    "as much as fits": (event(p={f"name{number}": "v" * 45 for number in range(100)}), "", True),
    "many lines": (event(p={f"name{number}": "v" * 30 for number in range(3_000)}), "", False),
    "wrapped lines": (event(p={f"name{number}": "word " * 60 for number in range(60)}), "", False),
    "one line": (event(document="q" * 20_000), "", False),
    "a megabyte": (event(eventName="x" * 1_000_000), "", False),
    "wide characters": (event(p={f"name{number}": "漢字" * 20 for number in range(200)}), "", False),
    "hostile characters": (event(p="\u202e\x1b<b>" * 4_000), "", False),
    "deep": (event(p=nested(90)), "", False),
    "long keys": (event(p={f"name{number}": "v" * 30 for number in range(200)}), "p" * 800, False),
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("profile"), "print") as found:
        yield found


def write(name: str, folder: Path) -> tuple[str, Path]:
    sample, prefix, _ = EVENTS[name]
    raw = json.dumps(sample, ensure_ascii=False).encode()
    pretty = msgspec.json.format(raw, indent=2).decode()
    html = page(ID, raw, pretty, steps(prefix), "This event was delivered by AWS CloudTrail, unchanged", "valid")
    path = folder / "event.html"
    path.write_text(html, encoding="utf-8")
    return html, path


@pytest.mark.parametrize("name", EVENTS)
def test_the_page_is_one_sheet(name: str, chromium: Browser, tmp_path: Path) -> None:
    _, path = write(name, tmp_path)
    tab = chromium.page()
    tab.look(media="print")
    tab.open(path)
    for paper, (width, height) in PAPER.items():
        answer = tab.call("Page.printToPDF", paperWidth=width, paperHeight=height, printBackground=True)
        printed = base64.b64decode(answer["data"])
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1, paper
    assert tab.problems == []
    assert len(tab.requests) == 1


@pytest.mark.parametrize("name", EVENTS)
def test_all_of_the_event_is_on_the_screen(name: str, tmp_path: Path) -> None:
    sample, _, fits = EVENTS[name]
    html, _ = write(name, tmp_path)
    lines = msgspec.json.format(msgspec.json.encode(sample), indent=2).decode().count("\n") + 1
    shown = re.search(r"<pre(?: class=\"screen\")?>(.*?)</pre>", html, re.DOTALL)
    assert shown is not None
    assert shown[1].count("\n") + 1 == lines
    assert ("not on this sheet" not in html) is fits
    assert "\x1b" not in html
    assert "<b>" not in html
