#!/usr/bin/env bash
# First step of the action: ctvalidate as it lies here, in an environment of its own, every other package pinned by hash.
set -euo pipefail

python=${CTVALIDATE_ACTION_PYTHON:-python3}
environment="$RUNNER_TEMP/ctvalidate"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "::error title=ctvalidate::Python 3.11 or newer is needed: put actions/setup-python before this step"
    exit 2
}
"$python" -m venv "$environment"
bin="$environment/bin"
[ -d "$bin" ] || bin="$environment/Scripts" # Windows
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$bin/python" -m pip install --quiet --require-hashes --no-deps -r "$GITHUB_ACTION_PATH/release/runtime.txt"
"$bin/python" -m pip install --quiet --require-hashes --no-deps -r "$GITHUB_ACTION_PATH/release/build.txt"
"$bin/python" -m pip install --quiet --no-deps --no-build-isolation "$GITHUB_ACTION_PATH"
echo "$bin" >>"$GITHUB_PATH"
"$bin/ctvalidate" --version
