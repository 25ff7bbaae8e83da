"""A real browser for the HTML report: headless Chromium over its debugging pipe (no port, no driver, no client).

Source: Chrome DevTools Protocol; `--remote-debugging-pipe` reads commands on descriptor 3 and answers on 4, a NUL after
each JSON message.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cloudtrail_validate.report import Report

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED: Final = "CTVALIDATE_REQUIRE_BROWSER"  # set: a test that finds no browser fails instead of being skipped
TIMEOUT: Final = 60.0  # seconds for one answer: computers that run tests are slow, and share their cores
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
_KEYS: Final = {
    "Enter": 13,
    "Escape": 27,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}


def program() -> str | None:
    """The browser's path, or None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One tab. Everything that it asked for, logged or threw since `open` is kept."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.loaded = False
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, answered. Raises RuntimeError where the browser refuses it."""
        return self._browser.call(method, self._session, **parameters)

    def heard(self, method: str, parameters: dict[str, Any]) -> None:
        """Take note of an event."""
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.problems.append(json.dumps(parameters["entry"]))
            case "Runtime.consoleAPICalled":
                self.problems.append(json.dumps(parameters["args"]))
            case "Page.loadEventFired":
                self.loaded = True

    def open(self, path: Path) -> float:
        """Load a file; the seconds until it had loaded and its script had run."""
        self.loaded = False
        began = time.monotonic()
        self.call("Page.navigate", url=path.as_uri())
        while not self.loaded:
            self._browser.listen(began + TIMEOUT)
        self.evaluate("document.readyState")
        return time.monotonic() - began

    def evaluate(self, script: str) -> Any:
        """The value of an expression, promises awaited. Raises RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def key(self, name: str) -> None:
        """Press a key."""
        code = {"key": name, "code": name, "windowsVirtualKeyCode": _KEYS[name]}
        typed = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str, *, across: float = 0.5) -> None:
        """Click on an element, `across` of the way from its left edge to its right one."""
        box = self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            "node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            "return [box.left, box.top, box.width, box.height]; })()"
        )
        at = {"x": box[0] + box[2] * across, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **at)

    def look(self, *, width: int = 1_280, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """Size of the window, and what the user prefers."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of the window, or of the `whole` page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        answer = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(answer["data"])


class Browser:
    """A running browser and its pipe."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer = b""
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command, answered. Raises RuntimeError where the browser refuses it."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._write, left) :]
        deadline = time.monotonic() + TIMEOUT
        while self._number not in self._answers:
            self.listen(deadline)
        answer = self._answers.pop(self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def listen(self, deadline: float) -> None:
        """Take in what the browser says next. Raises TimeoutError, and EOFError where it has ended."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError("the browser does not answer")
        data = os.read(self._read, 1 << 20)
        if not data:
            raise EOFError("the browser has ended")
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for raw in messages:
            message = json.loads(raw)
            if "id" in message:
                self._answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].heard(message["method"], message["params"])

    def page(self) -> Page:
        """A new, empty tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])


@contextlib.contextmanager
def browser(path: str, profile: Path) -> Iterator[Browser]:
    """Start the browser at `path` with an empty profile, and end it afterwards."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    # The shell puts the two ends where Chromium looks for them; `exec` leaves one process to end.
    script = f'exec "$@" 3<&{command_read} 4>&{answer_write}'
    process = subprocess.Popen(
        ["/bin/bash", "-c", script, "bash", path, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(command_read, answer_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Browser(answer_read, command_write)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(command_write)
        os.close(answer_read)


@contextlib.contextmanager
def running(profile: Path, purpose: str) -> Iterator[Browser]:
    """A browser for a test that needs one: where there is none, the test is skipped, or fails if one is required."""
    path = program()
    if path is None:
        missing = f"no Chromium to {purpose} with (apt-get install chromium)"
        if os.environ.get(REQUIRED):
            pytest.fail(missing)
        pytest.skip(missing)
    with browser(path, profile) as found:
        yield found


Opener = Callable[[Report], Page]
"""Opens a report in a fresh tab."""


def texts(page: Page, selector: str) -> list[str]:
    """The text of each element that a selector finds, in order."""
    found: list[str] = page.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent)"
    )
    return found
