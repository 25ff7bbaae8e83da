"""Names that a file system can hold, and which of them it takes for the same. Pure: the system is an argument.

Windows (Microsoft, "Naming Files, Paths, and Namespaces"): no control characters, none of `<>:"|?*`, a backslash separates,
a name ends in no blank and no dot, and the names of devices are no files, whatever ending they have. A colon would write
into a stream of another file. Windows and macOS take names for the same that differ in case or in how accents are composed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NOT_ON_WINDOWS: Final = re.compile(r'[\x00-\x1f<>:"\\|?*]|[. ](?:/|$)')
_DEVICE: Final = re.compile(
    r"(?:^|/)(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])[ ]*(?:[.:][^/]*)?(?:/|$)", re.IGNORECASE
)


def is_foreign(path: str, *, windows: bool) -> bool:
    """Whether no file can have this path (segments between slashes), or another file than it says would be opened."""
    return "\0" in path or (windows and bool(_NOT_ON_WINDOWS.search(path) or _DEVICE.search(path)))


def folded(path: str) -> str:
    """A path as a file system that does not tell case or composition apart compares it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
