"""Command lines for people to read, check and paste into a POSIX shell. Pure.

What a bucket wrote is quoted, and a value that cannot be shown as it is, or that a program would read as something else,
gets no line at all: a line that does another thing than it seems to is worse than none.
"""

from __future__ import annotations

import shlex
from typing import Final

from cloudtrail_validate.core.text import printable

# Values that aws-cli takes for an option, or reads from a file or an address (User Guide, "Load a parameter from a
# file").
_MISREAD: Final = ("-", "file://", "fileb://", "http://", "https://")


def pasteable(value: str) -> bool:
    """Tell whether a value may stand in a line to paste: not empty, shown as it is, and no program's option or address."""
    return bool(value) and not value.startswith(_MISREAD) and printable(value) == value


def command_line(*words: str, values: tuple[str, ...] = ()) -> str | None:
    """Return the line of these words, quoted for a POSIX shell.

    None where one of `values`, which came from outside, is unfit.

    `values` are those among the words that must be checked.
    """
    return shlex.join(words) if all(map(pasteable, values)) else None
