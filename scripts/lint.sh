#!/bin/sh
# Checks the form of the source and what go vet knows.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

echo "== gofmt"
unformatted=$("$("$GO" env GOROOT)/bin/gofmt" -l $(git ls-files --cached --others --exclude-standard '*.go' | while read -r f; do [ -f "$f" ] && printf '%s\n' "$f"; done))
if [ -n "$unformatted" ]; then
	printf 'Error: these files are not formatted:\n%s\nTry: gofmt -w .\n' "$unformatted" >&2
	exit 1
fi
echo "== go vet"
"$GO" vet ./...
"$GO" vet -tags failpoint ./cmd/... ./internal/...
