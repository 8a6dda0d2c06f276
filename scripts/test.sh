#!/bin/sh
# Sets up what the tests need, and runs everything: checks, unit tests and tests of real processes, with the race detector.
# Arguments are passed on to go test.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

# The race detector needs a C compiler; the tests that count syncs need strace.
packages=""
command -v gcc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
if [ "$(uname -s)" = Linux ]; then
	command -v strace >/dev/null 2>&1 || packages="$packages strace"
fi
if [ -n "$packages" ]; then
	if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
		echo "== installing$packages"
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
	else
		printf 'Error: the tests need programs that are not installed.\nTry: sudo apt-get install -y --no-install-recommends%s\n' "$packages" >&2
		exit 1
	fi
fi
./scripts/engine.sh

GO=$GO ./scripts/lint.sh
echo "== go build"
"$GO" build ./...
echo "== go test"
CGO_ENABLED=1 exec "$GO" test -race -shuffle=on -count=1 -timeout 20m "$@" ./...
