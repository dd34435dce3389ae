# xcrate: `make` builds, `make help` lists the targets.

# What the binary says of itself. A tarball without git is "unknown" unless VERSION is given.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# Tools are pinned here and installed below bin/tools, not by tool lines in go.mod: the linter alone would add some
# two hundred modules to go.sum and to every download of a program that has a handful. `go install` checks them
# against the public checksum database all the same.
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
CRANE         = github.com/google/go-containerregistry/cmd/crane@v0.22.1
ORAS          = oras.land/oras/cmd/oras@v1.3.6
REGCTL        = github.com/regclient/regclient/cmd/regctl@v0.11.7
COSIGN        = github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
GOVULNCHECK   = golang.org/x/vuln/cmd/govulncheck@v1.9.0

# The program is static and says nothing of the place it was built in. The version is given by -X, so the stamp of the
# version control system would only make a build from a copy differ.
STATIC    = CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false'
LDFLAGS   = -s -w -buildid= -X main.version=$(VERSION)

# testdata is no part of ./... for the go command; its one package is checked all the same.
PACKAGES  = ./... $(patsubst %,./testdata,$(wildcard testdata/*.go))
TOOLS     = $(CURDIR)/bin/tools
FUZZTIME ?= 10s
VULNDB   ?= https://vuln.go.dev

# What make bench measures: trees of FILES files with BYTES bytes, ROUNDS times, in each directory of PLACES.
FILES  ?= 35000
BYTES  ?= 1073741824
MANY   ?= 1000000
ROUNDS ?= 3
PLACES ?= /dev/shm,bin
PAGE   ?= docs/performance.md

.PHONY: build test vet lint vuln fmt demo sample bench fuzz cover repro tools clean help

build: ## build bin/xcrate, static
	$(STATIC) go build -ldflags '$(LDFLAGS)' -o bin/xcrate ./cmd/xcrate

# The race detector needs cgo and a C compiler; nothing else here does. -timeout is for the tests that make a whole
# root with a real package manager on a slow machine. One package more than cores at a time: those with servers and
# package managers wait as much as they work.
test: tools ## run every test with the race detector; as root it installs what the tests need
	@bash .ci/deps >&2
	PATH="$(TOOLS):$$PATH" CGO_ENABLED=1 go test -race -shuffle=on -p $$(($$(nproc) + 1)) -timeout 28m $(TESTFLAGS) $(PACKAGES)

vet:
	$(STATIC) go vet $(PACKAGES)

lint: $(TOOLS)/$(notdir $(GOLANGCI_LINT)) ## run the pinned linter
	$(STATIC) $(TOOLS)/golangci-lint run $(PACKAGES)

vuln: $(TOOLS)/$(notdir $(GOVULNCHECK)) ## look for known vulnerabilities in what the code can reach
	@$(STATIC) bash .ci/vuln $(TOOLS)/govulncheck -db $(VULNDB) $(PACKAGES)

fmt: $(TOOLS)/$(notdir $(GOLANGCI_LINT)) ## format the source as the linter wants it
	$(TOOLS)/golangci-lint fmt

demo: build ## export a sample management node, verify it, import it elsewhere, compare the two
	XCRATE=$(CURDIR)/bin/xcrate bash testdata/demo.sh

sample: ## make a sample management node in the directory ROOT
	@test -n "$(ROOT)" || { echo 'usage: make sample ROOT=dir' >&2; exit 2; }
	go run ./internal/hosttest/mksample "$(ROOT)"

# The trees are made by a program of its own, because a program's peak memory counts from its parent's. MANY=0 leaves
# out the tree that memory is measured with, PAGE= the page.
bench: build ## measure xcrate beside tar, zstd, restic and openssl, and write docs/performance.md; needs root
	@bash .ci/deps >&2
	go test -run '^$$' -bench . -benchmem ./...
	$(STATIC) go build -o bin/ ./internal/hosttest/mksample ./internal/hosttest/bench
	bin/bench -files $(FILES) -bytes $(BYTES) -many $(MANY) -rounds $(ROUNDS) -places $(PLACES) -page "$(PAGE)"

fuzz: ## fuzz every target for FUZZTIME (10s)
	bash .ci/fuzz $(FUZZTIME)

cover: ## write bin/cover.html and print the coverage
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out ./...
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -n 1

repro: ## build twice in two directories and compare the bytes
	bash .ci/repro '$(VERSION)'

# Readers of OCI layouts, clients of registries and a verifier of signatures that are not ours. Tests find them on PATH and skip without them, except on CI.
tools: $(TOOLS)/$(notdir $(CRANE)) $(TOOLS)/$(notdir $(ORAS)) $(TOOLS)/$(notdir $(REGCTL)) $(TOOLS)/$(notdir $(COSIGN))

# One stamp a version, so that a new pin installs anew. Without a network the tests go on with skips.
$(TOOLS)/$(notdir $(CRANE)): TOOL = $(CRANE)
$(TOOLS)/$(notdir $(ORAS)): TOOL = $(ORAS)
$(TOOLS)/$(notdir $(REGCTL)): TOOL = $(REGCTL)
$(TOOLS)/$(notdir $(COSIGN)): TOOL = $(COSIGN)
$(TOOLS)/$(notdir $(CRANE)) $(TOOLS)/$(notdir $(ORAS)) $(TOOLS)/$(notdir $(REGCTL)) $(TOOLS)/$(notdir $(COSIGN)): Makefile
	@mkdir -p $(TOOLS)
	@CGO_ENABLED=0 GOFLAGS= GOBIN=$(TOOLS) go install $(TOOL) && touch $@ || test "$$CI" != true
# Without these two there is nothing to go on with.
$(TOOLS)/$(notdir $(GOLANGCI_LINT)): TOOL = $(GOLANGCI_LINT)
$(TOOLS)/$(notdir $(GOVULNCHECK)): TOOL = $(GOVULNCHECK)
$(TOOLS)/$(notdir $(GOLANGCI_LINT)) $(TOOLS)/$(notdir $(GOVULNCHECK)): Makefile
	@mkdir -p $(TOOLS)
	CGO_ENABLED=0 GOFLAGS= GOBIN=$(TOOLS) go install $(TOOL)
	@touch $@

clean: ## remove what was built
	rm -rf bin demo

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-8s %s\n' "$$name" "$$text"; done
