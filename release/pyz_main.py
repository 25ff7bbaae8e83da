"""Starts the single file: unpacks it once and runs it, and answers for whatever happens before ctvalidate itself can.

Python's own answer would be a traceback and exit code 1, which means evidence of change here. It runs on every Python 3.
"""

import errno
import os
import sys
from typing import NoReturn

MADE_FOR = (3, 11)  # written by build_pyz.py: the compiled modules in this file are for one version
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def start() -> None:
    """Run to the exit code of ctvalidate: 2 where the file cannot be unpacked or is for another Python, 3 without room."""
    if sys.version_info[:2] != MADE_FOR:
        wanted, found = (".".join(map(str, version)) for version in (MADE_FOR, sys.version_info[:2]))
        told = "this file is for Python " + wanted + ", and this is Python " + found
        end(2, told + ": take the file for that, or start this one with python" + wanted)
    try:
        from _bootstrap import bootstrap  # type: ignore[import-not-found]  # noqa: PLC0415  # shiv's, which may fail

        bootstrap()
    except OSError as error:
        home = os.path.expanduser("~")  # noqa: PTH111  # Path raises where there is none
        where = os.environ.get("SHIV_ROOT") or home + os.sep + ".shiv"
        told = "cannot unpack itself into " + ascii(where)[1:-1] + ": " + str(error.strerror or error)
        told += "; name a folder that can be written to in SHIV_ROOT"
        end(3 if error.errno in _NO_ROOM else 2, told)
    except KeyboardInterrupt:
        end(130, "interrupted")
    except Exception as error:
        end(3, "cannot start: " + type(error).__name__ + ": " + ascii(str(error))[1:-1])


def end(code: int, line: str) -> NoReturn:
    """Say one line, and end the process: nothing is left to be cleaned up."""
    try:
        sys.stderr.write("ctvalidate: " + line + "\n")
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    start()
