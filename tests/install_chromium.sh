#!/usr/bin/env bash
# Install Chromium with its driver, for the tests of the page that `pyrocausal explore` serves.
# Debian and Ubuntu, as root: 121 MB to fetch, 440 MB installed, half a minute.
# Exit status: 0, they are there; 1, they are not, and the words say why: those tests are skipped.
set -uo pipefail

give_up() {
  echo "No Chromium: $1. Tests in a browser are skipped." >&2
  exit 1
}

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  echo "$(chromium --version 2>/dev/null) is there."
  exit 0
fi
command -v apt-get >/dev/null || give_up "there is no apt-get; install chromium and chromedriver"
[ "$(id -u)" = 0 ] || give_up "installing needs root: sudo $0"

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Lists that are at hand may do; else they are fetched once.
install="timeout 300 apt-get install -y -qq --no-install-recommends chromium chromium-driver"
$install >"$log" 2>&1 || {
  timeout 120 apt-get update -qq >>"$log" 2>&1
  $install >>"$log" 2>&1 || give_up "apt-get failed: $(tail -n 1 "$log")"
}
echo "$(chromium --version 2>/dev/null) is installed."
