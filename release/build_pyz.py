"""Build ctvalidate as one file: a zip that Python runs, with everything it needs, for this Python and this platform.

    python release/build_pyz.py ctvalidate-VERSION-py3-none-any.whl OUT.pyz [--wheels DIR]

Needs pip and shiv. What goes in is what `runtime.txt` beside this file pins with hashes; with --wheels nothing is
downloaded. Wheels are unpacked and not installed, since what an installer writes depends on where it runs: the same wheels
make the same file, byte for byte (SOURCE_DATE_EPOCH moves its times). Licence texts of all that it carries are in the file
and, for people who look for them, in OUT.licenses.txt.
"""

from __future__ import annotations

import argparse
import email.parser
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

RUNTIME: Final = Path(__file__).with_name("runtime.txt")
MAIN: Final = Path(__file__).with_name("pyz_main.py")
LICENSES: Final = "THIRD-PARTY-LICENSES.txt"
EPOCH: Final = "1767225600"  # 2026-01-01, as in build.sh: times in a zip begin in 1980
ENTRY: Final = "cloudtrail_validate.__main__:entry"
_TEXT: Final = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|AUTHORS)(?:[.-][A-Za-z0-9_-]+)*")
_DATA: Final = re.compile(r"^[^/]+\.data/(purelib|platlib)/(.+)$")

# Libraries that wheels carry without a licence text of their own, by the start of their file's name.
_CARRIED: Final = {
    "libbrotli": "Brotli, MIT, https://github.com/google/brotli",
    "libcom_err": "MIT Kerberos, MIT, https://web.mit.edu/kerberos/",
    "libcrypto": "OpenSSL, Apache-2.0, https://openssl-library.org/",
    "libcurl": "curl, curl, https://curl.se/docs/copyright.html",
    "libgssapi": "MIT Kerberos, MIT, https://web.mit.edu/kerberos/",
    "libidn2": "GNU Libidn2, LGPL-3.0-or-later OR GPL-2.0-or-later, https://www.gnu.org/software/libidn/",
    "libk5crypto": "MIT Kerberos, MIT, https://web.mit.edu/kerberos/",
    "libkrb5": "MIT Kerberos, MIT, https://web.mit.edu/kerberos/",
    "libkeyutils": "keyutils, LGPL-2.1-or-later, https://people.redhat.com/~dhowells/keyutils/",
    "libnghttp2": "nghttp2, MIT, https://nghttp2.org/",
    "libnghttp3": "nghttp3, MIT, https://nghttp2.org/nghttp3/",
    "libngtcp2": "ngtcp2, MIT, https://nghttp2.org/ngtcp2/",
    "libpsl": "libpsl, MIT, https://github.com/rockdaboot/libpsl",
    "libsfparse": "sfparse, MIT, https://github.com/ngtcp2/sfparse",
    "libssh2": "libssh2, BSD-3-Clause, https://libssh2.org/",
    "libssl": "OpenSSL, Apache-2.0, https://openssl-library.org/",
    "libunistring": "GNU libunistring, LGPL-3.0-or-later OR GPL-2.0-or-later, https://www.gnu.org/software/libunistring/",
    "libz": "zlib, Zlib, https://zlib.net/",
}


def main(arguments: list[str]) -> None:
    """Build, and say how large it became."""
    parser = argparse.ArgumentParser(description="Build ctvalidate as one file.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--wheels", type=Path, help="a folder of the wheels that runtime.txt names; nothing is downloaded"
    )
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wheels = given.wheels or download(Path(folder, "wheels"))
        parts = [*sorted(wheels.glob("*.whl"), key=lambda path: path.name.lower()), given.wheel]
        site = Path(folder, "site")
        for part in parts:
            unpack(part, site)
        text = "\n".join(licence_of(part) for part in parts)
        (site / LICENSES).write_text(text, encoding="utf-8", newline="\n")
        (site / LICENSES).chmod(0o644)  # whatever the umask is
        assemble(site, given.out)
    given.out.with_name(f"{given.out.name}.licenses.txt").write_text(text, encoding="utf-8", newline="\n")
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB, {len(parts)} packages")


def download(folder: Path) -> Path:
    """Every wheel that `runtime.txt` names for this Python and platform; pip checks their hashes."""
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "-r", str(RUNTIME))
    return folder


def unpack(wheel: Path, site: Path) -> None:
    """Put a wheel's modules and metadata where Python imports them. Programs and headers are left out."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            elsewhere = _DATA.match(entry.filename)
            name = elsewhere[2] if elsewhere else entry.filename
            if entry.is_dir() or ".data/" in name.partition("/")[0] + "/":
                continue
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise SystemExit(f"{wheel.name}: {name} leads elsewhere")
            target = site / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
            target.chmod(0o755 if entry.external_attr >> 16 & 0o100 else 0o644)


def licence_of(wheel: Path) -> str:
    """What a wheel says of its licence, and all texts in it. Ends the build where there is none."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(archive.namelist())
        (head,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.BytesParser().parsebytes(archive.read(head))
        licence = metadata["License-Expression"] or (metadata["License"] or "see below").splitlines()[0]
        lines = ["=" * 78, f"{metadata['Name']} {metadata['Version']}: {licence}", ""]
        texts = [name for name in names if _TEXT.fullmatch(PurePosixPath(name).name)]
        if not texts:
            raise SystemExit(f"{wheel.name} holds no licence text")
        for name in texts:
            lines += [
                f"--- {name}",
                "",
                archive.read(name).decode("utf-8", "replace").replace("\r\n", "\n").rstrip(),
                "",
            ]
        carried = sorted(set(_carried(wheel.name, names)))
    if carried:
        lines += ["--- Shared libraries that it carries: project, licence, where its text is", "", *carried, ""]
    return "\n".join(lines)


def _carried(wheel: str, names: list[str]) -> Iterator[str]:
    for name in names:
        folder, _, file = name.rpartition("/")
        if not file or not folder.endswith((".libs", ".dylibs")):
            continue
        found = [told for start, told in _CARRIED.items() if file.lower().startswith(start)]
        if not found:
            raise SystemExit(f"{wheel} carries {file}, whose licence is not known: add it to _CARRIED")
        yield found[-1]


def assemble(site: Path, out: Path) -> None:
    """The one file, by shiv."""
    if shutil.which("shiv", path=str(Path(sys.executable).parent)) is None:
        raise SystemExit("shiv is not installed beside this Python: pip install shiv")
    out.parent.mkdir(parents=True, exist_ok=True)
    program = str(Path(sys.executable).with_name("shiv"))
    environment = {"SOURCE_DATE_EPOCH": EPOCH, **os.environ, "PYTHONWARNINGS": "ignore"}
    words = [program, "--site-packages", str(site), "--reproducible", "-e", ENTRY, "-p", "/usr/bin/env python3"]
    run(*words, "-o", str(out), env=environment)
    guard(out)


def guard(file: Path) -> None:
    """Put our own first module in the place of shiv's, whose answer to a home that cannot be written to is exit code 1."""
    data = file.read_bytes()
    first = MAIN.read_text(encoding="utf-8").replace("(3, 11)", repr(tuple(sys.version_info[:2])))
    made = io.BytesIO()
    made.write(data[: data.index(b"\n") + 1])
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "a") as new:
        for entry in old.infolist():
            new.writestr(entry, first if entry.filename == "__main__.py" else old.read(entry))
    file.write_bytes(made.getvalue())


def run(*words: str, env: dict[str, str] | None = None) -> None:
    """Run a program that must succeed."""
    done = subprocess.run(words, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words[:4])} … ended with {done.returncode}")


if __name__ == "__main__":
    main(sys.argv[1:])
