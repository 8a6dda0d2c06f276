#!/bin/sh
# Sets up what the tests need, and runs everything: checks, unit tests and tests of real processes, with the race detector.
# Arguments are passed on to go test.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

# The race detector needs a C compiler; the tests that count syncs need strace; those of stores and of fleets start real
# servers and cut them off.
packages=""
need() { # need PACKAGE FILE...: unless one of the files is there
	package=$1
	shift
	for file; do
		[ -e "$file" ] && return
	done
	packages="$packages $package"
}
command -v gcc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
if [ "$(uname -s)" = Linux ]; then
	for pair in strace:strace redis-server:redis-server redis-sentinel:redis-sentinel node:nodejs npm:npm; do
		command -v "${pair%%:*}" >/dev/null 2>&1 || packages="$packages ${pair#*:}"
	done
	need haproxy /usr/sbin/haproxy /usr/local/sbin/haproxy /usr/bin/haproxy
	need iproute2 /usr/sbin/ip /sbin/ip /usr/bin/ip
	need postgresql /usr/lib/postgresql/*/bin/initdb
fi
if [ -n "$packages" ]; then
	if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
		echo "== installing$packages"
		apt-get update -qq
		# The tests start their own servers. Debian's packages would start one each too, unless this file forbids it.
		policy=/usr/sbin/policy-rc.d made=""
		if [ ! -e $policy ]; then
			made=$policy
			trap 'rm -f "$made"' EXIT
			trap 'exit 130' INT
			trap 'exit 143' TERM
			printf '#!/bin/sh\nexit 101\n' >$policy
			chmod 755 $policy
		fi
		# shellcheck disable=SC2086 # a list
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
		[ -z "$made" ] || rm -f "$made"
		trap - EXIT INT TERM
	else
		printf 'Error: the tests need programs that are not installed.\nTry: sudo apt-get install -y --no-install-recommends%s\n' "$packages" >&2
		exit 1
	fi
fi
./scripts/engine.sh
if [ -x ./scripts/dynalite.sh ]; then
	./scripts/dynalite.sh
fi

GO=$GO ./scripts/lint.sh
echo "== go build"
"$GO" build ./...
echo "== go test"
CGO_ENABLED=1 exec "$GO" test -race -shuffle=on -count=1 -timeout 20m "$@" ./...
