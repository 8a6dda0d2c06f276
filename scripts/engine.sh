#!/bin/sh
# Installs the inference engine that the tests in inference/ run: Node, where it is missing, and llama.cpp as a Node
# module, in the versions and with the checksums of the lock file. A second run needs no network.
set -eu
cd "$(dirname "$0")/../inference/testdata/engine"

if [ "$(uname -sm)" != "Linux x86_64" ]; then
	echo "Warning: the inference engine is pinned for Linux on x86_64 only; the tests in inference/ will fail here." >&2
	exit 0
fi
installed=node_modules/installed.json # the lock file as it was when an installation came to its end
complete() { cmp -s package-lock.json "$installed"; }

packages=""
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
complete || command -v npm >/dev/null 2>&1 || packages="$packages npm"
[ -e /usr/lib/x86_64-linux-gnu/libgomp.so.1 ] || ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' || packages="$packages libgomp1"
if [ -n "$packages" ]; then
	if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
		echo "== installing$packages"
		apt-get update -qq
		# shellcheck disable=SC2086 # a list
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
	else
		printf 'Error: the tests need programs that are not installed.\nTry: sudo apt-get install -y --no-install-recommends%s\n' "$packages" >&2
		exit 1
	fi
fi
complete && exit 0

echo "== installing the inference engine"
# Optional packages are the engine's builds for other machines; the one for this machine is named in package.json.
npm ci --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
cp package-lock.json "$installed"
