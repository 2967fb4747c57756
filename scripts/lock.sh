#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/*.txt: exact versions with hashes, the same for every platform.
# dev.txt is resolved first; the other two are parts of it, so that one environment can hold them all.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv/)" >&2; exit 1; }

compile() {
  local target=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
    --output-file "requirements/$target.txt" "$@"
}

compile dev pyproject.toml requirements/build.in --group dev "$@"
compile runtime pyproject.toml --constraints requirements/dev.txt "$@"
compile build requirements/build.in --constraints requirements/dev.txt "$@"
scripts/acceptance.sh --lock "$@"
