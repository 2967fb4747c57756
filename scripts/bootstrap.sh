#!/usr/bin/env bash
# Makes .venv and installs the locked packages: `bootstrap.sh runtime` for running, `bootstrap.sh dev` for
# working on the code (a superset). When nothing changed it does nothing and touches no network. Needs Python
# 3.11 or newer and nothing else; takes uv instead of pip when uv is there. Which index the packages come from
# is the machine's own configuration.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-dev}
case $level in
  runtime) locks=(requirements/runtime.txt requirements/build.txt) ;;
  dev) locks=(requirements/dev.txt) ;;
  *) echo "usage: $0 runtime|dev" >&2; exit 2 ;;
esac

say() { echo "bootstrap: $*" >&2; }
fail() { say "$@"; exit 1; }

# What an environment of a level was made from. A dev environment of the same locks also serves for running.
state_of() { echo "$1 $(cat requirements/*.txt scripts/bootstrap.sh | cksum) $PWD"; }
current() {
  [ -x .venv/bin/python ] && [ -f .venv/state ] || return 1
  local state
  state=$(cat .venv/state)
  [ "$state" = "$(state_of dev)" ] || [ "$state" = "$(state_of "$level")" ] || return 1
  .venv/bin/python -c '' 2>/dev/null
}

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python3.15; do
    if command -v "$candidate" >/dev/null && suitable "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# Debian ships Python without the means to make environments; the missing part is one package.
add_venv_module() {
  local python=$1 package
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  say "Python has no ensurepip; installing $package"
  command -v apt-get >/dev/null || return 1
  as_root apt-get update -qq >&2 || return 1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >&2
}

make_venv() {
  local python
  python=$(find_python)
  rm -rf .venv
  if command -v uv >/dev/null; then
    say "making .venv with uv"
    uv venv --quiet --seed --python "${python:->=3.11}" .venv && return
    say "uv could not make it; trying python3"
  fi
  [ -n "$python" ] || fail "Python 3.11 or newer is needed; python3 is $(python3 -V 2>&1 || true)." \
    "Install it (Debian 12 and newer: apt install python3 python3-venv), or set PYTHON=/path/to/python3.11."
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    add_venv_module "$python" || fail "this Python cannot make environments, and installing the missing package" \
      "was not possible. As root: apt install python3-venv. Then run make again."
  fi
  say "making .venv with $("$python" -V)"
  "$python" -m venv .venv
}

install_packages() {
  local arguments=() lock
  for lock in "${locks[@]}"; do arguments+=(-r "$lock"); done
  say "installing the locked packages ($level)"
  if command -v uv >/dev/null; then
    uv pip install --quiet --python .venv/bin/python --require-hashes "${arguments[@]}" && return
    say "uv could not install them; trying pip"
  fi
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    --only-binary :all: "${arguments[@]}"
}

# The package itself: no index, no isolated build; the build backend is in the lock.
install_ourselves() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
    --no-build-isolation --editable .
}

current && exit 0

# Two makes at once: the second one waits and finds the work done.
mkdir -p .make
if command -v flock >/dev/null; then
  exec 9>.make/lock
  flock 9
  current && exit 0
fi

if ! { [ -x .venv/bin/python ] && suitable .venv/bin/python && .venv/bin/python -m pip -V >/dev/null 2>&1; }; then
  make_venv
fi
install_packages
install_ourselves
state_of "$level" >.venv/state
say "ready"
