"""The picture in ARCHITECTURE.md is true: imports point down its rows, and the core does no I/O and reads no clock."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "cloudtrail_validate"
EFFECTS: Final = {
    *("asyncio", "concurrent", "multiprocessing", "select", "selectors", "signal", "subprocess", "sys", "threading"),
    *("ctypes", "getpass", "mmap", "platform", "queue", "uvloop", "webbrowser", "zoneinfo"),
    *("boto3", "botocore", "http", "pycurl", "requests", "socket", "ssl", "urllib3"),
    *("fcntl", "glob", "io", "logging", "os", "pathlib", "shutil", "sqlite3", "tempfile"),
    *("random", "secrets", "time"),
}
CLOCKS: Final = frozenset({"now", "utcnow", "today", "monotonic", "perf_counter"})
TIMES: Final = frozenset(
    {"datetime", "date", "time"}
)  # whose clocks are not even named: `default_factory=datetime.now`
# Every method of `Path` that asks the system, but for `replace`, which text and times have too.
PATHS: Final = frozenset(
    {"absolute", "chmod", "cwd", "exists", "expanduser", "glob", "group", "hardlink_to", "home", "is_block_device"}
    | {
        "is_char_device",
        "is_dir",
        "is_fifo",
        "is_file",
        "is_junction",
        "is_mount",
        "is_socket",
        "is_symlink",
        "iterdir",
    }
    | {"lchmod", "link_to", "lstat", "mkdir", "open", "owner", "read_bytes", "read_text", "readlink", "rename"}
    | {"resolve", "rglob", "rmdir", "samefile", "stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text"}
)
BUILTINS: Final = frozenset({"breakpoint", "compile", "eval", "exec", "input", "open", "print", "__import__"})
# What a core module may use all the same, and why.
ALLOWED: Final = {
    "report.html.parts": {"read_text"},  # the page's own styles and script, out of the package
    "report.reliance": {"platform"},  # names the Python that the proofs rely on
    "report.csv": {"io"},  # the csv module writes to a StringIO
}


class Row(NamedTuple):
    ring: str
    rank: int  # 0 is the top


def read_rows() -> dict[str, Row]:
    (picture,) = re.findall(r"^```layers\n(.*?)^```", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.M | re.S)
    rows: dict[str, Row] = {}
    for rank, line in enumerate(picture.splitlines()):
        ring, _, names, _ = (cell.strip() for cell in line.split("|"))
        for name in names.split():
            assert name not in rows, f"{name} has two rows"
            rows[name] = Row(ring, rank)
    return rows


def read_modules() -> dict[str, ast.Module]:
    """Every module by its name below the package; the package itself under its own name."""
    found: dict[str, ast.Module] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or PACKAGE
        found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


ROWS: Final = read_rows()
MODULES: Final = read_modules()
RULES: Final = {module for module in MODULES if module.startswith("core.rules")} | {"core"}
CORE: Final = {name for name, row in ROWS.items() if row.ring == "core"}


def name_of(module: str) -> str | None:
    """The name in the picture that a module belongs to: its room, or its own."""
    return next((name for name in (module.split(".", maxsplit=1)[0], module) if name in ROWS), None)


def inner_imports(module: str) -> set[str]:
    """Modules of the package that a module imports."""
    out = set()
    for full in imports(MODULES[module]):
        if full.split(".")[0] == PACKAGE:
            inner = full.removeprefix(PACKAGE).lstrip(".")
            out.add(inner if inner in MODULES else inner.rpartition(".")[0] or PACKAGE)
    return out


def test_every_module_is_in_the_picture_and_every_name_is_a_module() -> None:
    assert [module for module in MODULES if name_of(module) is None] == []
    assert [name for name in ROWS if name not in MODULES] == []


def test_the_core_lies_below_the_shell() -> None:
    rings = [row.ring for row in sorted(ROWS.values(), key=lambda row: row.rank)]
    assert rings == sorted(rings, reverse=True)
    assert {*rings} == {"shell", "core"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    own = name_of(module)
    for other in inner_imports(module):
        target = name_of(other)
        assert own is not None
        assert target is not None
        assert target == own or ROWS[target].rank > ROWS[own].rank, f"{module} imports {other}"


@pytest.mark.parametrize("module", [module for module in MODULES if name_of(module) in CORE])
def test_the_core_does_no_io_and_reads_no_clock(module: str) -> None:
    assert effects_of(MODULES[module]) - ALLOWED.get(module, set()) == set()


def effects_of(tree: ast.Module) -> set[str]:
    """What a module does to the world, or asks of it: modules that it imports, methods and functions that it calls."""
    used = {full.split(".")[0] for full in imports(tree)} & EFFECTS
    nodes = list(ast.walk(tree))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    used |= {func.attr for func in called if isinstance(func, ast.Attribute) and not _compiles(func)} & (CLOCKS | PATHS)
    used |= {func.id for func in called if isinstance(func, ast.Name)} & BUILTINS
    handed = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return used | {node.attr for node in handed if isinstance(node.value, ast.Name) and node.value.id in TIMES} & CLOCKS


def _compiles(func: ast.Attribute) -> bool:
    return isinstance(func.value, ast.Name) and func.value.id == "re"


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("import time", "time"),
        ("from time import monotonic", "time"),
        ("def f():\n    import os.path", "os"),
        ("from concurrent.futures import Executor", "concurrent"),
        ("from datetime import datetime\nx = datetime.now()", "now"),
        ("field(default_factory=datetime.now)", "now"),
        ("x = date.today()", "today"),
        ("clock = datetime.utcnow", "utcnow"),
        ("path.read_text()", "read_text"),
        ("(folder / name).rename(other)", "rename"),
        ("[p for p in root.glob('*')]", "glob"),
        ("Path.cwd()", "cwd"),
        ("path.with_suffix('').symlink_to(x)", "symlink_to"),
        ("open('x')", "open"),
        ("print(1)", "print"),
        ("exec(code)", "exec"),
    ],
)
def test_an_effect_is_seen(code: str, effect: str) -> None:
    """Else a core module could have one, and the test above would say nothing."""
    assert effect in effects_of(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "scope.now",
        "text.replace('a', 'b')",
        "re.compile('x')",
        "moment.replace(tzinfo=UTC)",
        "state.open",
        "from datetime import UTC",
    ],
)
def test_values_are_no_effects(code: str) -> None:
    assert effects_of(ast.parse(code)) == set()


def test_the_simulator_shares_no_check_with_the_verifier() -> None:
    """Nor what would bring one in: only values, and words."""
    used = {other for module in MODULES if name_of(module) == "simulate" for other in inner_imports(module)}
    assert {other for other in used if name_of(other) != "simulate"} <= {
        "core.model",
        "core.portable",
        "core.text",
        *RULES,
    }
