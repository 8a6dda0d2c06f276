#!/bin/sh
# Installs the server of the DynamoDB API that the tests of store/dynamodb run: Node, where it is missing, and dynalite in
# the version and with the checksums of the lock file. A second run needs no network.
set -eu
cd "$(dirname "$0")/../internal/servers/testdata/dynalite"

installed=node_modules/installed.json # the lock file as it was when an installation came to its end
complete() { cmp -s package-lock.json "$installed"; }

packages=""
command -v node >/dev/null 2>&1 || packages="$packages nodejs"
complete || command -v npm >/dev/null 2>&1 || packages="$packages npm"
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

echo "== installing dynalite"
npm ci --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
cp package-lock.json "$installed"
