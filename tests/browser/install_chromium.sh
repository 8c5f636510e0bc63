#!/bin/sh
# Makes sure that the browser tests find a Chromium: Debian's own, by apt, when there is none.
set -eu

if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "The browser tests need Chromium, and there is no apt-get to install it with." >&2
    echo "Install Chromium and name it: make test-all CHROMIUM=/path/to/chromium" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi
echo "Installing Chromium for the browser tests (apt-get install chromium)"
if ! { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }; then
    echo "Chromium could not be installed. Install it by hand: sudo apt-get install chromium," >&2
    echo "or name one: make test-all CHROMIUM=/path/to/chromium" >&2
    exit 1
fi
