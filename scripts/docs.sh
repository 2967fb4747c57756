#!/usr/bin/env bash
# Writes the pages that are made from code; with --check it only tells which of them are stale.
set -euo pipefail
cd "$(dirname "$0")/.."

stale=0
page() {
  local target=$1
  shift
  if [ "${check:-}" ]; then
    "$@" | diff -q "$target" - >/dev/null || { echo "stale: $target (run \`make docs\`)" >&2; stale=1; }
  else
    "$@" >"$target.new" && mv "$target.new" "$target"
  fi
}

[ "${1:-}" = --check ] && check=1
page docs/settings.md .venv/bin/python scripts/settings_page.py
page docs/architecture.md .venv/bin/python scripts/architecture_page.py
exit "$stale"
