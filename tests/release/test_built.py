"""What release/build.sh made (.ci/run names its folder in CTVALIDATE_RELEASE): single file, bill of materials, image."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.release.test_action import RELEASE
from tests.release.test_files import ROOT, pins

pytestmark = pytest.mark.skipif(not os.environ.get(RELEASE), reason=f"{RELEASE} names no folder of release/build.sh")
NOBODY: Final = 65532


@pytest.fixture(scope="module")
def made() -> Path:
    return Path(os.environ[RELEASE])


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "100", **variables}
    return subprocess.run(words, env=env, text=True, capture_output=True, timeout=300, check=False)


class TestSingleFile:
    def test_runs_alone(self, made: Path, tmp_path: Path) -> None:
        file = only(made / "page", "*.pyz")
        env = {"SHIV_ROOT": str(tmp_path / "cache"), "PYTHONPATH": "", "HOME": str(tmp_path)}
        done = run(sys.executable, "-S", "-E", str(file), "demo", **env)
        assert done.returncode == 0, done.stderr
        assert "all 19 findings that they bring about were found, and nothing else" in done.stdout
        done = run(sys.executable, "-S", str(file), "simulate", str(tmp_path / "t"), "--hours", "2", **env)
        line = shlex.split(done.stdout.splitlines()[-1])[1:]
        done = run(sys.executable, "-S", str(file), *line, "--executor", "local:2", "--no-progress", **env)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("variables", "told"),
        [
            ({"SHIV_ROOT": "/proc/nowhere"}, "cannot unpack itself into /proc/nowhere: "),
            ({"SHIV_ROOT": "", "HOME": "/proc/nowhere"}, "cannot unpack itself into /proc/nowhere/.shiv: "),
        ],
    )
    def test_a_home_that_cannot_be_written_to_is_no_evidence(
        self, made: Path, variables: dict[str, str], told: str
    ) -> None:
        done = run(sys.executable, "-S", str(only(made / "page", "*.pyz")), "--version", **variables)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"ctvalidate: {told}")
        assert line.endswith("SHIV_ROOT")

    def test_another_python_is_no_evidence(self, made: Path, tmp_path: Path) -> None:
        file = tmp_path / "other.pyz"
        shutil.copy(only(made / "page", "*.pyz"), file)
        main = zipfile.ZipFile(file).read("__main__.py").decode()
        assert f"MADE_FOR = {tuple(sys.version_info[:2])!r}" in main
        (tmp_path / "other.py").write_text(main.replace(repr(tuple(sys.version_info[:2])), "(3, 99)"))
        done = run(sys.executable, str(tmp_path / "other.py"), "--version")
        assert done.returncode == 2
        assert "this file is for Python 3.99, and this is Python 3." in done.stderr

    def test_is_the_same_wherever_it_is_built(self, made: Path, tmp_path: Path) -> None:
        wheel, other = only(made / "dist", "*.whl"), tmp_path / "elsewhere" / "other.pyz"
        script = f"umask 077; exec {shlex.quote(sys.executable)} release/build_pyz.py {wheel} {other}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}, check=False
        )
        assert done.returncode == 0
        assert other.read_bytes() == only(made / "page", "*.pyz").read_bytes()

    def test_carries_the_licence_of_all_that_it_carries(self, made: Path) -> None:
        archive = zipfile.ZipFile(only(made / "page", "*.pyz"))
        text = archive.read("site-packages/THIRD-PARTY-LICENSES.txt").decode()
        assert text == only(made / "page", "*.licenses.txt").read_text()
        titles = {name.lower().replace("_", "-") for name in re.findall(r"^={78}\n(\S+) \S+: ", text, re.MULTILINE)}
        assert titles == set(pins(ROOT / "release/runtime.txt")) | {"ctvalidate"}
        assert "Apache License" in text
        assert "Permission is hereby granted" in text

    def test_names_no_path_of_the_computer_that_built_it(self, made: Path) -> None:
        archive = zipfile.ZipFile(only(made / "page", "*.pyz"))
        for name in archive.namelist():
            assert not name.endswith(("direct_url.json", ".pyc")), name
            if ".dist-info/" in name or "environment.json" in name:
                assert str(ROOT).encode() not in archive.read(name)


def test_the_bill_of_materials_is_what_is_installed(made: Path) -> None:
    bill = json.loads(only(made / "page", "*.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "ctvalidate")
    listed = {part["name"].lower().replace("_", "-"): part for part in bill["components"]}
    assert {name: part["version"] for name, part in listed.items()} == pins(ROOT / "release/runtime.txt")
    known = (ROOT / "release/runtime.txt").read_text()
    for part in listed.values():
        (digest,) = (one["content"] for one in part["hashes"])
        assert f"sha256:{digest}" in known
        assert part["purl"].startswith("pkg:pypi/")
        assert part["licenses"]
    assert "file:" not in json.dumps(bill)


def test_the_sums_are_over_everything(made: Path) -> None:
    lines = only(made / "page", "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    files = {path.name: path for folder in ("dist", "page") for path in (made / folder).iterdir()}
    files.pop("SHA256SUMS")
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()} == sums


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="mounts, as root")
class TestImage:
    """Without Docker's daemon: the file's own RUN lines fill /opt in a mount namespace, which then runs as USER says."""

    def test_runs_as_nobody_on_a_read_only_root(self, tmp_path: Path) -> None:
        text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        self.copy(text, tmp_path / "src")
        (tmp_path / "opt").mkdir()
        variables = " ".join(re.findall(r"^ENV (PIP.+)$", text, re.MULTILINE))
        steps = [f"export {variables} PATH={sys.base_prefix}/bin:$PATH", *re.findall(r"^RUN (.+)$", text, re.MULTILINE)]
        self.within(tmp_path, f"cd {tmp_path}/src && {' && '.join(steps)} && rm -r /opt/build")
        (user,) = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
        assert int(user) == NOBODY
        (variables,) = re.findall(r"^ENV PATH=\S+ (.+)$", text, re.MULTILINE)
        tool = f"env -i {variables} PATH=/opt/ctvalidate/bin:/usr/bin:/bin"
        tool += f" setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs ctvalidate"
        frozen = f"{self.readable()} mount -o remount,ro,bind / && cd / && ! touch /x 2>/dev/null"
        for arguments in ("--version", "explain log-extra"):
            assert self.within(tmp_path, f"{frozen} && {tool} {arguments}")
        demo = f"{frozen} && mount -t tmpfs -o mode=1777 tmpfs /tmp && {tool} demo"
        assert "and nothing else" in self.within(tmp_path, demo)

    def copy(self, text: str, source: Path) -> None:
        """What the COPY lines of the first stage copy."""
        for names in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
            *files, target = names.split()
            (source / target).mkdir(parents=True, exist_ok=True)
            for name in files:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / target, dirs_exist_ok=True)
                else:
                    shutil.copy(ROOT / name, source / target)

    def within(self, folder: Path, script: str) -> str:
        """What a script prints where `folder`/opt is /opt and no other mount is changed for anybody else."""
        mounts = f"mount --make-rprivate / && mount --bind {folder}/opt /opt"
        done = run("unshare", "--mount", "sh", "-ec", f"{mounts} && {script}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def readable(self) -> str:
        """Mounts that let nobody read a Python below /root, as in the image everybody can."""
        base = sys.base_prefix
        if not base.startswith("/root/"):
            return ""
        move = f"mkdir -p {base} && mount --move /mnt {base}"
        return f"mount --bind {base} /mnt && mount -t tmpfs -o mode=755 tmpfs /root && {move} &&"
