#!/usr/bin/env bash
# Makes .acceptance: the client programs that tests/acceptance runs against the gateway, in locked versions, one
# environment for each set that installs together. When nothing changed it does nothing and touches no network.
# Needs the environment that scripts/bootstrap.sh makes. Which index the packages come from is the machine's own
# configuration. `acceptance.sh --lock` resolves the *.in files anew (needs uv).
set -euo pipefail
cd "$(dirname "$0")/.."

locks=tests/acceptance/requirements
sets=(current pinned)
base=.venv/bin/python

say() { echo "acceptance: $*" >&2; }

if [ "${1:-}" = --lock ]; then
  shift
  for name in "${sets[@]}"; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
      --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
      --output-file "$locks/$name.txt" "$locks/$name.in" "$@"
  done
  exit 0
fi

# The folder's own path is part of it: a copy of a checkout is installed anew.
state_of() { echo "$(cat "$locks/$1.txt" scripts/acceptance.sh | cksum) $("$base" -V) $PWD"; }
current() {
  local home=.acceptance/$1
  [ -f "$home/state" ] && [ "$(cat "$home/state")" = "$(state_of "$1")" ] && "$home/bin/python" -c '' 2>/dev/null
}

# Compiling happens at the first import, and only for what is imported: a third of all that is installed.
install() {
  local home=.acceptance/$1
  current "$1" && return
  say "installing the $1 clients"
  rm -rf "$home"
  "$base" -m venv --without-pip "$home"
  if ! { command -v uv >/dev/null &&
    uv pip install --quiet --python "$home/bin/python" --require-hashes -r "$locks/$1.txt"; }; then
    "$base" -m pip --python "$home/bin/python" install --quiet --disable-pip-version-check --require-hashes \
      --no-deps --no-compile --only-binary :all: -r "$locks/$1.txt"
  fi
  state_of "$1" >"$home/state"
}

[ -x "$base" ] || { say "there is no .venv; run scripts/bootstrap.sh dev first."; exit 1; }

# Two at once: the second one waits and finds the work done.
mkdir -p .acceptance
if command -v flock >/dev/null; then
  exec 9>.acceptance/lock
  flock 9
fi

# Side by side, because each of them waits for the network half of the time.
jobs=()
for name in "${sets[@]}"; do
  install "$name" &
  jobs+=($!)
done
if [ -x scripts/acceptance-node.sh ]; then
  scripts/acceptance-node.sh &
  jobs+=($!)
fi
failed=0
for job in "${jobs[@]}"; do
  wait "$job" || failed=1
done
exit "$failed"
