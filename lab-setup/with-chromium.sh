#!/bin/sh
# Runs its arguments on a machine that has Chromium: installs it first where that needs no question (root, apt).
for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null 2>&1 && exec "$@"
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "[kit] Installing Chromium with apt-get."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null </dev/null || exit 1
    exec "$@"
fi
echo "[kit] The browser tests need Chromium on the PATH (Debian: apt install chromium), then try again." >&2
exit 1
