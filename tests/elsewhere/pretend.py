"""Another system, as far as one can be pretended.

`python -m tests.elsewhere.pretend WHAT… -- ARGUMENTS` runs ctvalidate there:

- `windows`: no fcntl, resource, pwd, termios, uvloop; none of the os and signal names that Windows lacks; `sys.platform`
  says win32 to our modules; asyncio's own loop, which like Windows's watches no descriptors and takes no signal handlers.
- `plain-loop`: asyncio's own loop where uvloop is not to be had.
- `folding`: file names differ only by more than case, as on macOS and Windows.

Paths, programs and encodings stay this system's. What only a real one shows is for .github/workflows/ci.yml.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NoReturn

_NO_MODULES: Final = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "uvloop", "_posixshmem")
_NO_OS: Final = (
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "getgroups", "setsid", "killpg", "getpgid", "wait"),
    *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "O_PATH", "O_TMPFILE", "O_SYNC", "O_DSYNC", "O_NOCTTY"),
    *(
        "fchmod",
        "fchown",
        "chown",
        "lchown",
        "mkfifo",
        "mknod",
        "pread",
        "pwrite",
        "preadv",
        "sendfile",
        "posix_fadvise",
    ),
    *("posix_fallocate", "statvfs", "fstatvfs", "sysconf", "openpty", "sched_getaffinity", "sched_setaffinity", "nice"),
    *(
        "getloadavg",
        "uname",
        "sync",
        "fdatasync",
        "lockf",
        "ttyname",
        "ctermid",
        "confstr",
        "copy_file_range",
        "memfd_create",
    ),
)
_NO_SIGNALS: Final = (
    *("SIGHUP", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGQUIT", "SIGTSTP", "SIGWINCH"),
    *(
        "pthread_sigmask",
        "pthread_kill",
        "sigwait",
        "sigwaitinfo",
        "sigtimedwait",
        "setitimer",
        "alarm",
        "pause",
        "siginterrupt",
    ),
)
# What looks at the platform when it is imported, and must not take this one for Windows: the library's and others'.
_BEFORE: Final = (
    *(
        "asyncio",
        "subprocess",
        "multiprocessing",
        "concurrent.futures.process",
        "tempfile",
        "shutil",
        "pathlib",
        "platform",
    ),
    *(
        "ctypes",
        "uuid",
        "webbrowser",
        "getpass",
        "socketserver",
        "http.server",
        "ssl",
        "urllib.request",
        "logging.handlers",
    ),
    *(
        "click",
        "rich.console",
        "rich.progress",
        "rich.table",
        "botocore.session",
        "boto3",
        "pycurl",
        "certifi",
        "distutils",
    ),
    *(
        "cryptography.hazmat.primitives.serialization",
        "isal.igzip_threaded",
        "prometheus_client",
        "dateutil.tz",
        "msgspec",
    ),
)


def windows() -> None:
    """Take away what Windows lacks, once what does not belong to us is imported."""
    for name in _BEFORE:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    sys.modules["msvcrt"] = _msvcrt()
    _remove_modules(*_NO_MODULES)
    for name in _NO_OS:
        if hasattr(os, name):
            delattr(os, name)
    for name in _NO_SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)
    os.supports_dir_fd = set()
    os.supports_fd = set()
    os.supports_follow_symlinks = {os.stat}
    shutil._use_fd_functions = False  # type: ignore[attr-defined]  # decided when it was imported
    _refuse_descriptors()
    select.select = _few(select.select)
    del select.poll
    if hasattr(select, "epoll"):
        del select.epoll
    asyncio.set_event_loop_policy(_Policy())
    sys.platform = "win32"


def _remove_modules(*names: str) -> None:
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail


def _few(real: Callable[..., Any]) -> Callable[..., Any]:
    """Windows selects among 512 sockets, and none at all is an error."""

    def wrapped(readers: list[int], writers: list[int], broken: list[int], seconds: float | None = None) -> Any:
        if max(map(len, (readers, writers, broken))) > 512:
            raise ValueError("too many file descriptors in select()")
        if not (readers or writers or broken):
            raise OSError(10022, "An invalid argument was supplied")
        return real(readers, writers, broken, seconds)

    return wrapped


def _msvcrt() -> ModuleType:
    """Windows's locks on ranges of a file, by those of POSIX."""
    import fcntl

    module = ModuleType("msvcrt")
    modes = {"LK_UNLCK": 0, "LK_LOCK": 1, "LK_NBLCK": 2}
    vars(module).update(modes)

    def locking(descriptor: int, mode: int, length: int) -> None:
        kinds = {0: fcntl.LOCK_UN, 1: fcntl.LOCK_EX, 2: fcntl.LOCK_EX | fcntl.LOCK_NB}
        fcntl.lockf(descriptor, kinds[mode], length, os.lseek(descriptor, 0, os.SEEK_CUR))

    vars(module)["locking"] = locking
    return module


def plain_loop() -> None:
    """No uvloop."""
    _remove_modules("uvloop")


def folding() -> None:
    """Names are found whatever their case, in every call that looks a name up."""
    from tests.elsewhere import folding_names

    folding_names.install()


class _Loop(asyncio.SelectorEventLoop):
    """Windows's loop watches no descriptors for others, and takes no signal handlers."""

    def __init__(self) -> None:
        import selectors

        super().__init__(selectors.SelectSelector())

    def _not_here(self, *args: object, **options: object) -> NoReturn:
        raise NotImplementedError

    add_reader = remove_reader = add_writer = remove_writer = _not_here
    add_signal_handler = remove_signal_handler = _not_here


class _Policy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = _Loop


def _refuse_descriptors() -> None:
    """`dir_fd` is not implemented, and a folder cannot be opened."""

    def without(call: Callable[..., Any], *, opens: bool = False) -> Callable[..., Any]:
        def wrapped(path: Any, *args: Any, **options: Any) -> Any:
            if options.pop("dir_fd", None) is not None:
                raise NotImplementedError("dir_fd unavailable on this platform")
            if opens and os.path.isdir(path):  # noqa: PTH112  # what is replaced is below pathlib
                raise PermissionError(13, "Permission denied", path)
            return call(path, *args, **options)

        return wrapped

    os.open = without(os.open, opens=True)
    for name in ("mkdir", "unlink", "rmdir", "utime"):
        setattr(os, name, without(getattr(os, name)))


PRETENCES: Final = {"windows": windows, "plain-loop": plain_loop, "folding": folding}

if __name__ == "__main__":
    split = sys.argv.index("--")
    for what in sys.argv[1:split]:
        PRETENCES[what]()
    sys.argv[:] = ["ctvalidate", *sys.argv[split + 1 :]]
    from cloudtrail_validate.__main__ import entry

    entry()
