# make run     build, and serve the quickstart at http://127.0.0.1:8000
# make test    set up what the tests need, and run all of them
# make engine  install the inference engine of the tests, as make test does
# make demo    kill a server in the middle of a charge, and see that nothing is lost or done twice
# make bench   run the benchmarks
# make lint    check form and common mistakes

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS = -X main.version=$(VERSION)
SOURCES = $(shell find . -name '*.go' -not -path './bin/*') $(wildcard go.mod go.sum) model/scripted/default.json

.PHONY: run test engine demo bench lint build check-go clean

run: build bin/paydesk
	@bin/paydesk --ledger ./data/ledger.jsonl -- bin/ak serve --config examples/quickstart/config.yaml

build: bin/ak

check-go:
	@command -v $(GO) >/dev/null 2>&1 || { \
	  echo "Error: Go is not installed, or not on the PATH."; \
	  echo "Try: install Go $$(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/, or: make GO=/path/to/go $(MAKECMDGOALS)"; \
	  exit 1; }

bin/ak: $(SOURCES) | check-go
	@echo "building $@ (the first time takes a minute)"
	@$(GO) build -ldflags '$(LDFLAGS)' -o $@ ./cmd/ak

bin/ak-demo: $(SOURCES) | check-go
	@echo "building $@"
	@$(GO) build -tags failpoint -ldflags '$(LDFLAGS)' -o $@ ./cmd/ak

bin/paydesk: $(SOURCES) | check-go
	@$(GO) build -o $@ ./examples/quickstart/paydesk

bin/demo: $(SOURCES) | check-go
	@$(GO) build -o $@ ./examples/demo

demo: bin/ak-demo bin/paydesk bin/demo
	@bin/demo

test: | check-go
	@GO='$(GO)' ./scripts/test.sh

engine:
	@./scripts/engine.sh

bench: | check-go
	$(GO) test -run '^$$' -bench . -benchmem ./...

lint: | check-go
	@GO='$(GO)' ./scripts/lint.sh
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	@echo "== gofumpt"
	@unformatted=$$($(GO) run mvdan.cc/gofumpt@v0.12.0 -l .) && test -z "$$unformatted" || { \
	  echo "Error: not in gofumpt's form: $$unformatted"; echo "Try: $(GO) run mvdan.cc/gofumpt@v0.12.0 -w ."; exit 1; }

clean:
	rm -rf bin
