# Ekiden. Two commands do everything on a fresh machine: make run, make test.
# WEB=0 leaves the sites out (no Node needed).
GO        ?= go
WEB       ?= 1
FUZZTIME  ?= 10s
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    = -s -w -X main.version=$(VERSION)
export CGO_ENABLED ?= 0

.PHONY: run build test bench lint fuzz long crash clean

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ekiden ./cmd/ekiden

run: build
	bin/ekiden demo --data data/demo

# Everything that tells whether main is releasable: style, units, plays, models,
# and the black box against real clients and peers.
test: lint
	$(GO) test -timeout 9m ./...

lint:
	@out=$$(gofmt -l cmd internal test); if [ -n "$$out" ]; then echo "gofmt these:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build
	$(GO) test -run '^$$' -bench . -benchtime 1s ./internal/...
	test/load/bench.sh

fuzz:
	FUZZTIME=$(FUZZTIME) test/fuzz.sh

# What takes longer than a coffee: every fuzz target, many crash points and seeds.
long: fuzz
	EKIDEN_LONG=1 $(GO) test -count=1 -timeout 30m ./internal/state/... ./internal/flow/... ./internal/sim/... ./test/...

# Cuts the power under the store, with new seeds until stopped (docs/proof.md).
crash:
	EKIDEN_CRASH=endless $(GO) test -count=1 -timeout 0 -v -run '^TestEndless$$' ./internal/state/crashtest

clean:
	rm -rf bin
