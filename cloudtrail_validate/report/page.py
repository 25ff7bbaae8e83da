"""A page of terminal text that takes hostile strings and keeps to its width.

Where nobody sits before it (a pipe, a file, a mail), nothing is shortened and nothing is wrapped: `whole`. Strings
go out as `rich.text.Text`, after `printable`: neither control characters nor markup can act. Where the console cannot
encode UTF-8, the signs are ASCII and other characters become escapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from cloudtrail_validate.core.text import printable
from cloudtrail_validate.report import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Signs:
    """The non-letters of the page."""

    verdict: Mapping[Verdict, str]
    covered: str
    partly: str
    gap: str
    pending: str
    dots: str
    next: str
    event: str


VERDICT_STYLES: Final = {
    Verdict.VALID: "bold green",
    Verdict.CHANGED: "bold red",
    Verdict.UNPROVEN: "bold yellow",
    Verdict.EMPTY: "bold yellow",
}
UNICODE: Final = Signs(
    {Verdict.VALID: "✓", Verdict.CHANGED: "✗", Verdict.UNPROVEN: "!", Verdict.EMPTY: "○"},
    "━",
    "╍",
    "·",
    "─",
    "…",
    "→",
    "•",
)
ASCII: Final = Signs(
    {Verdict.VALID: "+", Verdict.CHANGED: "x", Verdict.UNPROVEN: "!", Verdict.EMPTY: "o"},
    "=",
    "-",
    ".",
    "~",
    "...",
    "->",
    "*",
)


UNBOUNDED: Final = 1_000_000  # columns of a page that nobody's terminal limits
LAYOUT: Final = 110  # columns that bars and columns are laid out for there


class Page:
    """A console that takes hostile strings and keeps to its width, or (`whole`) to none.

    `width` limits a line of text, `layout` is what bars and columns are laid out for.
    """

    def __init__(self, console: Console, *, whole: bool = False) -> None:
        self.console = console
        self.whole = whole
        self.width = UNBOUNDED if whole else console.width
        self.layout = LAYOUT if whole else console.width
        self.encoding = None if console.encoding.startswith("utf") else console.encoding
        self.signs = ASCII if self.encoding else UNICODE

    def safe(self, text: str) -> str:
        """`text` as the terminal may show it."""
        shown = printable(text)
        return shown.encode(self.encoding, "backslashreplace").decode(self.encoding) if self.encoding else shown

    def line(self, *parts: tuple[str, str] | str, indent: int = 0, unbroken: bool = False) -> None:
        """One line of (text, style) parts, cut at the console's width unless `unbroken`."""
        text = Text(" " * indent, no_wrap=True, end="")
        for part in parts:
            content, style = part if isinstance(part, tuple) else (part, "")
            text.append(self.safe(content), style)
        if not unbroken:
            text.truncate(self.width, overflow="crop")
        self.console.print(text, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def wrapped(self, body: str, *, style: str = "", lead: tuple[str, str] = ("", ""), indent: int = 0) -> None:
        """A paragraph, its lines hanging behind `lead`."""
        if self.whole:
            self.line(lead, (body, style), indent=indent)
            return
        hang = indent + cell_len(lead[0])
        text = Text(self.safe(body), style)
        for number, part in enumerate(text.wrap(self.console, max(20, self.width - hang))):
            part.rstrip()
            first = lead if number == 0 else (" " * cell_len(lead[0]), "")
            self.line(first, (part.plain, style), indent=indent)

    def shorten(self, text: str, width: int, *, key: bool = False) -> str:
        """`text` in at most `width` cells: its middle goes. Of a `key` the file name stays for as long as it fits."""
        if self.whole:
            return self.safe(text)
        text = self.safe(text if len(text) <= 4_096 else text[:2_048] + text[-2_048:])
        if cell_len(text) <= width:
            return text
        room = max(2, width - cell_len(self.signs.dots))
        if key:
            folder, slash, text = text.rpartition("/")
            head = room - cell_len(slash + text)
            if head >= 0 and slash:
                return (set_cell_size(folder, head) if head > 6 else "") + self.signs.dots + slash + text
            if cell_len(text) <= width:
                return text
        head = room * 11 // 20  # account, kind and region of a digest's name go before, its stamp goes behind
        tail = text[head - room :]  # as many characters as cells: more could only be invisible ones
        while cell_len(tail) > room - head:
            tail = tail[1:]
        return set_cell_size(text, head) + self.signs.dots + tail
