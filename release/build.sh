#!/usr/bin/env bash
# Build everything that a release holds, and check it as indexes, auditors and users would.
#
#   release/build.sh OUT
#
# OUT/dist gets wheel and sdist, OUT/page the single file (.pyz) with its licence texts, the bill of materials (CycloneDX) and
# SHA256SUMS over all of them. Needs the environment of constraints.txt: $PYTHON, .venv/bin/python by default.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: release/build.sh OUT}
python=${PYTHON:-.venv/bin/python}
bin=$(dirname "$python")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600} PIP_DISABLE_PIP_VERSION_CHECK=1

rm -rf "$out/dist" "$out/page"
mkdir -p "$out/dist" "$out/page"
"$python" -m build --no-isolation --outdir "$out/dist" . >"$out/build.log" 2>&1 || {
    cat "$out/build.log" >&2
    exit 1
}
"$bin/twine" check --strict "$out"/dist/*
"$bin/check-wheel-contents" "$out"/dist/*.whl

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The environment that users get: what runtime.txt pins, and the wheel. The bill of materials is its content.
"$python" -m venv --without-pip "$scratch/venv"
"$python" -m pip --python "$scratch/venv" download --quiet --require-hashes --no-deps --only-binary :all: \
    --dest "$scratch/wheels" -r release/runtime.txt
"$python" -m pip --python "$scratch/venv" install --quiet --no-deps --no-index "$scratch"/wheels/*.whl "$out"/dist/*.whl
"$bin/cyclonedx-py" environment --output-reproducible --pyproject pyproject.toml --mc-type application \
    --spec-version 1.6 --output-format JSON --output-file "$scratch/bom.json" "$scratch/venv/bin/python"

version=$(echo "$out"/dist/*.whl | sed 's/.*ctvalidate-\([^-]*\)-.*/\1/')
"$python" release/bill_of_materials.py "$scratch/bom.json" "$out/page/ctvalidate-$version.cdx.json" \
    "$scratch"/wheels/*.whl "$out"/dist/*.whl

platform=$("$python" -c 'import sys, sysconfig; print("cp%d%d-%s" % (*sys.version_info[:2], sysconfig.get_platform().replace("-", "_").replace(".", "_")))')
"$python" release/build_pyz.py "$out"/dist/*.whl "$out/page/ctvalidate-$version-$platform.pyz" --wheels "$scratch/wheels"
(cd "$out/page" && sha256sum -- *) >"$scratch/sums"
(cd "$out/dist" && sha256sum -- *) >>"$scratch/sums"
sort -k 2 "$scratch/sums" >"$out/page/SHA256SUMS"
cat "$out/page/SHA256SUMS"
