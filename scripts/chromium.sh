#!/usr/bin/env bash
# Makes sure that there is a Chromium, which the tests drive for real, and certutil, which tells it of local
# certificate authorities: installs Debian's packages when they are not found. JIMENG_CHROMIUM names another
# browser. The names below are those that browser/chromium.py looks for.
set -euo pipefail

names=(chromium chromium-browser google-chrome-stable google-chrome)

say() { echo "chromium: $*" >&2; }
fail() { say "$@"; exit 1; }

found() {
  local name
  for name in "${names[@]}"; do
    command -v "$name" >/dev/null && return
  done
  [ -x "/Applications/Chromium.app/Contents/MacOS/Chromium" ] && return
  [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]
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

install() {
  say "installing Debian's $*"
  as_root apt-get update -qq >&2 || say "apt-get update failed; trying with the lists that are there"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

by_hand="Install it (Debian: apt install chromium), or set JIMENG_CHROMIUM=/path/to/chromium, and run this again."

missing=()
if [ -n "${JIMENG_CHROMIUM:-}" ]; then
  command -v "$JIMENG_CHROMIUM" >/dev/null || fail "JIMENG_CHROMIUM=$JIMENG_CHROMIUM is not a program."
elif ! found; then
  command -v apt-get >/dev/null || fail "there is none, and no apt-get to install it with. $by_hand"
  as_root true || fail "there is none, and installing it takes root (or sudo without a password). $by_hand"
  missing+=(chromium)
fi
command -v certutil >/dev/null || missing+=(libnss3-tools)
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "${missing[0]}" = chromium ]; then
  install "${missing[@]}" || fail "the installation failed. $by_hand"
  found || fail "it was installed but cannot be found. $by_hand"
elif ! { command -v apt-get && as_root true; } >/dev/null || ! install "${missing[@]}"; then
  # Most machines trust nobody but the usual authorities, so this is no reason to stop.
  say "there is no certutil (Debian: apt install libnss3-tools); tests of local authorities are skipped"
fi
