#!/bin/sh
# Build the package of the Lambda function: ctvalidate and what it needs, for Lambda's Linux and Python.
#
#   build.sh PACKAGE OUT.zip
#
# PACKAGE is what pip installs: ctvalidate==VERSION, a wheel, or a checkout. PYTHON_VERSION (3.12) and ARCHITECTURE (x86_64, or
# aarch64 for arm64 functions) say for which runtime. botocore comes along, so that it is the tested version and not that of
# the day; of its service descriptions only those that ctvalidate asks are kept.
set -eu

package=${1:?usage: build.sh PACKAGE OUT.zip}
out=${2:?usage: build.sh PACKAGE OUT.zip}
python=${PYTHON:-python3}
version=${PYTHON_VERSION:-3.12}
architecture=${ARCHITECTURE:-x86_64}
services="account cloudtrail cloudwatch ec2 events organizations s3 securityhub sns sqs sso sso-oidc sts"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/own" "$package"
"$python" -m pip install --quiet --no-compile --target "$folder/package" \
    --python-version "$version" --implementation cp --only-binary :all: \
    --platform "manylinux_2_28_$architecture" --platform "manylinux_2_17_$architecture" \
    --platform "manylinux2014_$architecture" "$folder"/own/*.whl

cd "$folder/package"
rm -rf bin
for service in botocore/data/*/; do
    name=$(basename "$service")
    case " $services " in
    *" $name "*) ;;
    *) rm -rf "$service" ;;
    esac
done
find . -type d -name tests -prune -exec rm -rf {} +
# Lambda cannot write compiled modules, and compiling them is half of a cold start. Only the same Python makes them.
if [ "$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')" = "$version" ]; then
    "$python" -m compileall -q --invalidation-mode unchecked-hash .
else
    echo "build.sh: PYTHON is no $version: the package is not compiled and starts more slowly" >&2
fi
cd - >/dev/null

"$python" - "$folder/package" "$out" <<'PYTHON'
"""Zip the folder, every entry with the same time, so that the same input makes the same package."""
import pathlib, sys, zipfile

root = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), (2026, 1, 1, 0, 0, 0))
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        archive.writestr(entry, path.read_bytes(), compresslevel=9)
size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
print(f"{sys.argv[2]}: {pathlib.Path(sys.argv[2]).stat().st_size / 1e6:.1f} MB, {size / 1e6:.1f} MB unpacked (Lambda takes 50 and 250)")
PYTHON
