"""Turns an exception that nobody expected into one line and an exit code, which is never 1: that is evidence of change.

It works where nothing else does, with a broken installation or without memory, so it imports what the interpreter itself
has loaded, and nothing more.
"""

import errno
import os
import sys

USAGE = 2
UNPROVEN = 3
INTERRUPTED = 130
DEBUG = "CTVALIDATE_DEBUG"  # set: an unexpected error shows its traceback

_CAUSES_READ = 20  # exceptions looked at in a chain of causes; longer ones come from loops

_NO_FILES = "too many open files: raise the limit (ulimit -n), or give a lower --concurrency"
_NO_MEMORY = "not enough memory: raise the limit (ulimit -v), or the machine's or container's memory"
_NO_TEMPORARY = "no temporary folder can be written to: give one in TMPDIR"
_NO_THREADS = "the system refuses another thread: raise the limits on processes and memory (ulimit -u, ulimit -v)"
# How the dynamic loader says that a module of C did not fit: an ImportError, as if the file were broken.
_LOADER_WITHOUT_MEMORY = ("failed to map segment", "cannot allocate memory", "cannot map zero-fill pages")
# How Python words that C code could not allocate and told nobody: ulimit -v brings either about, in 4 of 180 runs.
_ALLOCATED_IN_SILENCE = ("without exception set", "without setting an exception")

memory_failed = False
"""Whether an answer was given because there was no memory, or in a state of Python's that only comes from that."""


def explain(error: BaseException) -> tuple[str, int]:
    """Say in one line what went wrong, and with which exit code the process should end.

    130 for an interrupt, whatever a library made of it; 2 where a package is missing or broken; 3 for all else. The line may
    hold hostile characters: `say` escapes them.
    """
    chain = _chain(error)
    if any(isinstance(one, KeyboardInterrupt) for one in chain):
        return "interrupted", INTERRUPTED
    for one in chain:
        limit = _limit(one)
        if limit:
            return limit, UNPROVEN
    if isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error):
        return _NO_TEMPORARY, USAGE
    where = _importing(error)
    if where or isinstance(error, ImportError):
        found = f" (found at {where})" if where else ""
        return f"a package is missing or broken{found}; install ctvalidate again: {_text(error)}", USAGE
    return f"internal error, please report it ({DEBUG}=1 shows where): {_text(error)}", UNPROVEN


def answer(error: BaseException) -> int:
    """Say what went wrong on standard error; return the exit code."""
    global memory_failed  # noqa: PLW0603 - the process is about to end
    text, code = explain(error)
    memory_failed = memory_failed or text == _NO_MEMORY or isinstance(error, SystemError)
    if os.environ.get(DEBUG) and code != INTERRUPTED:
        import traceback

        traceback.print_exception(error)
    say(text)
    return code


def say(text: str) -> None:
    """Write one line to standard error, if there is one: nothing is left to be done about it that it is closed or full."""
    try:
        from cloudtrail_validate.core.text import printable

        line = printable(" ".join(text.split()))
    except Exception:
        line = ascii(text)[1:-1]
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"ctvalidate: {line}\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        pass


def _chain(error: BaseException) -> list[BaseException]:
    """Return the exception and those that it was raised from, or while handling."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(chain) < _CAUSES_READ:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return chain


def _limit(error: BaseException) -> str | None:
    """Return the limit of the system that an exception ran into."""
    text = str(error)
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, SystemError) and any(words in text for words in _ALLOCATED_IN_SILENCE):
        return _NO_MEMORY
    if isinstance(error, ImportError | OSError):
        if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE) or "Too many open files" in text:
            return _NO_FILES
        if getattr(error, "errno", None) == errno.ENOMEM or any(
            words in text.lower() for words in _LOADER_WITHOUT_MEMORY
        ):
            return _NO_MEMORY
    if isinstance(error, RuntimeError) and text == "can't start new thread":
        return _NO_THREADS
    return None


def _importing(error: BaseException) -> str | None:
    """Return the file that was being imported when the exception arose; None where nothing was."""
    found = None
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_name == "<module>" and step.tb_frame.f_globals.get("__name__") != "__main__":
            found = code.co_filename
        step = step.tb_next
    return found


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except Exception:
        return type(error).__name__
