"""The README from top to bottom in one shell, as a newcomer types it, against AWS's APIs on this computer."""

from __future__ import annotations

import ast
import gzip
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from cloudtrail_validate.simulate import TrailSpec
from tests.examples_kit import deliver, keys_below

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
TIMEOUT: Final = 900
_BLOCKS: Final = re.compile(
    r"^(?:<!-- (?P<name>\w+) -->\n)?```(?P<language>sh|python)\n(?P<code>.*?)^```$", re.M | re.S
)
_NOT_HERE: Final = frozenset({"try", "test"})  # .ci/run runs both of them as they stand, downloads and all
# Stands for pipx, which would download what the package needs; it builds and installs the package itself all the same.
_PIPX: Final = """\
#!/bin/sh
set -eu
[ "$1 $2" = "install ." ]
"{python}" -m build --wheel --no-isolation --outdir "$HOME/dist" . >/dev/null
"{python}" -m venv --without-pip "$HOME/tool"
echo "{site}" >"$("$HOME/tool/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/needs.pth"
"{python}" -m pip --python "$HOME/tool/bin/python" install --quiet --no-deps --no-index "$HOME"/dist/*.whl
ln -s "$HOME/tool/bin/ctvalidate" "$HOME/.local/bin/ctvalidate"
"""


def lines() -> list[tuple[str, str]]:
    """(language, line) of all blocks in their order; a Python block is one line."""
    found = []
    for match in _BLOCKS.finditer(README.read_text(encoding="utf-8")):
        if match["name"] in _NOT_HERE:
            continue
        if match["language"] == "python":
            found.append(("python", match["code"]))
        else:
            joined = match["code"].replace("\\\n", " ")
            found += [("sh", line) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return found


def executable(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def home(folder: Path) -> dict[str, str]:
    """A home with programs on its PATH, but without the tool: Python, the AWS CLI, and what stands for pipx."""
    programs, local = folder / "bin", folder / ".local" / "bin"
    programs.mkdir(parents=True)
    local.mkdir(parents=True)
    python = sys.executable
    executable(programs / "python3", f'#!/bin/sh\nexec "{python}" "$@"\n')
    executable(programs / "aws", f'#!/bin/sh\nexec "{python}" -m awscli "$@"\n')
    executable(programs / "pipx", _PIPX.format(python=python, site=sysconfig.get_path("purelib")))
    system = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))
    return {"HOME": str(folder), "PATH": os.pathsep.join((str(local), str(programs), system))}


def replicate(aws: AwsServer, source: str, replica: str) -> None:
    """Copy a bucket as S3 does, metadata included."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=replica)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=source):
        for item in page["Contents"]:
            s3.copy_object(Bucket=replica, Key=item["Key"], CopySource={"Bucket": source, "Key": item["Key"]})


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_every_line_of_the_readme_works_as_it_stands(aws: AwsServer, tmp_path: Path) -> None:
    began = (datetime.now(UTC) - timedelta(hours=100)).replace(minute=0, second=0, microsecond=0)
    spec = TrailSpec(accounts=("123456789012",), bucket="amzn-s3-demo-bucket", start=began, hours=99, logs_per_hour=1)
    deliver(aws, spec, versioning=True)
    first = keys_below(aws, "CloudTrail")[0]
    aws.client("s3").put_object(Bucket=spec.bucket, Key=first, Body=gzip.compress(b'{"Records":[]}'))
    replicate(aws, spec.bucket, "amzn-s3-demo-replica-bucket")
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "__pycache__", "benchmarks", "tests"))
    told = tmp_path / "told"
    script = ["command -v ctvalidate && exit 99", "exec 3>>" + str(told)]
    for number, (language, line) in enumerate(lines()):
        if language == "python":
            ast.parse(line)
            (clone / f"block-{number}.py").write_text(line, encoding="utf-8")
        run = f"python3 block-{number}.py" if language == "python" else line
        script.append(f"{run}\necho {number} $? >&3\necho 'end of line {number}' >&2")
    env = {name: value for name, value in os.environ.items() if not name.startswith("CTVALIDATE_")}
    command = ["bash", "-c", "\n".join(script)]
    done = subprocess.run(
        command,
        cwd=clone,
        env=env | home(tmp_path / "home"),
        text=True,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    pairs = (entry.split() for entry in told.read_text().splitlines())
    codes = {int(number): int(code) for number, code in pairs}
    shown = [(line.strip(), codes.get(number)) for number, (_, line) in enumerate(lines())]
    assert [one for one in shown if one[1] not in (0, 1, 3)] == [], done.stderr[-5_000:]
    assert "Traceback" not in done.stderr, done.stderr[-5_000:]
    by_line = dict(shown)
    assert by_line['ctvalidate --trail-arn "$TRAIL_ARN" --last 24h'] == 0
    assert by_line['ctvalidate --trail-arn "$TRAIL_ARN" --last 7d --versions --output report.json'] == 1
    assert by_line["ctvalidate recover report.json --to originals"] == 0
    assert by_line['ctvalidate diff "originals/$KEY" "s3://amzn-s3-demo-bucket/$KEY"'] == 1
    assert by_line["ctvalidate verify-snapshot snapshot-1"] == 0
    assert by_line["ctvalidate --source copy --public-keys keys.json --last 7d"] == 1
    copies = [line for line in by_line if "--copy-of" in line]
    assert [by_line[line] for line in copies] == [1, 1]
    assert "Would tampering be noticed" in (clone / "report.html").read_text(encoding="utf-8")
    assert (clone / "both.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
