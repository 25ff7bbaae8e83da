"""Starts the command (`ctvalidate`, `python -m cloudtrail_validate`), and answers for what its command line cannot.

Python's own answer to a package that is missing, to an interrupt during the imports, or to no memory, is a traceback and
exit code 1, which means evidence of change here. So nothing is imported before the guard stands but what the interpreter
has loaded by itself.
"""

import _thread
import atexit
import os
import sys

from cloudtrail_validate.runtime import last_words

TYPE_CHECKING = False  # as in the package itself
if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def entry() -> None:
    """`ctvalidate` as a process. Always ends in `SystemExit`, or ends the process."""
    end = _End()
    atexit.register(end.leave)  # the first that is registered is the last that is called
    try:
        code = _run()
    except BaseException as error:
        code = _answer(error)
    end.code = code
    # Without memory, cleaning up would add dozens of lines of Python's own; with a full stream it would end with 120.
    if last_words.memory_failed or not _flushed():
        os._exit(code)
    sys.exit(code)


class _End:
    """Ends the process once all else is done. Python would take its modules apart: 15 ms of a run of 0.28 s, for nothing."""

    code: int | None = None

    def leave(self) -> None:
        """Leave with the code, where there is one: threads have been joined by now, and what else was registered has run."""
        if self.code is not None and _flushed():
            os._exit(self.code)


def _flushed() -> bool:
    """Write out what the standard streams still hold. False where one takes no more: Python would end with its own code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _run() -> int:
    """Import the command line and run it, to its exit code."""
    sys.unraisablehook = _raise_again
    _open_streams()
    _escape_what_has_no_code()
    _forget_widths_of_nothing()
    try:
        from cloudtrail_validate.runtime.collector import collect_seldom

        collect_seldom()
        _take_either_signal()
        from cloudtrail_validate.cli import main as command
    except SystemExit as end:
        raise ImportError(f"a package ended the process while it was imported: {end}") from None
    try:
        command()
    except SystemExit as end:  # the command line's own, which gives no other kind of code
        return end.code if isinstance(end.code, int) else last_words.UNPROVEN
    return 0


def _escape_what_has_no_code() -> None:
    """Have standard output escape what its encoding lacks: a code page of Windows has few of the world's names."""
    if sys.stdout is not None and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a text file of Python's own


def _forget_widths_of_nothing() -> None:
    """Take a COLUMNS or LINES of 0 for none at all, as shells and Python do: Rich would print nothing on no columns."""
    for name in ("COLUMNS", "LINES"):
        if os.environ.get(name, "").strip().strip("0") == "":
            os.environ.pop(name, None)


def _take_either_signal() -> None:
    """Let SIGTERM do what SIGINT does, unless the caller has it ignored: services and containers are stopped with it."""
    import signal

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _raise_again(lost: "UnraisableHookArgs") -> None:
    """Raise an interrupt once more where Python would print and forget it: it came during a callback of the import locks."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
    elif not sys.is_finalizing():
        try:
            # From another thread: here the interrupt would be raised at once, inside this hook, and be lost again.
            _thread.start_new_thread(_thread.interrupt_main, ())
        except RuntimeError:  # no memory for a thread: the run goes on, and can be interrupted again
            return


def _answer(error: BaseException) -> int:
    """Say what happened; where not even that can be done, the code is still not 1."""
    try:
        return last_words.answer(error)
    except KeyboardInterrupt:
        os._exit(last_words.INTERRUPTED)
    except BaseException:
        os._exit(last_words.UNPROVEN)


def _open_streams() -> None:
    """Open the standard streams that the caller has closed on nothing: else the first socket would become one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, number)
                setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
            except OSError:  # a root without /dev: whoever writes there finds None, as from Python itself
                continue


if __name__ == "__main__":  # a worker process that is spawned imports this module under another name
    entry()
