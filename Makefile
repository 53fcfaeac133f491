# `make run` and `make test` need Go, git and make; both fetch the rest themselves. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

DATA     ?= $(or $(STRONGROOM_DATA),strongroom-data)
LISTEN   ?= 127.0.0.1:4766
FUZZTIME ?= 60
ROUNDS   ?= 25
MINUTES  ?= 30
FAILOVERS ?= 10

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --verify -q HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Set where commands and the default folder differ, so that the lines which `make run` prints can be copied as they are.
DATAFLAG := $(if $(filter strongroom-data,$(DATA)),, --data '$(DATA)')

.PHONY: run build test cluster lint gen crash soak bench check race fuzz mutants powerloss deps clean help

build: ## bin/strongroom, static
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/strongroom ./cmd/strongroom

run: build ## build, initialise ./strongroom-data on the first run, serve
	@test -e '$(DATA)' || bin/strongroom init --data '$(DATA)'
	@printf '\nIn another shell:\n\n  eval "$$(./bin/strongroom env$(DATAFLAG))"\n  aws secretsmanager create-secret --name hello --secret-string world\n  aws secretsmanager get-secret-value --secret-id hello\n\n'
	@exec bin/strongroom server --data '$(DATA)' --listen '$(LISTEN)'

test: build ## every test: both databases, the Go SDK, boto3 and the AWS CLI against the real binary
	@if [[ $$(id -u) -eq 0 ]]; then tools/deps/system iproute2 systemd; fi # network namespaces, which only root may make; the check of the unit
	@export STRONGROOM_POSTGRES="$$(tools/deps/postgresql)"; \
	export STRONGROOM_CLIENTS="$$(tools/deps/clients)"; \
	export STRONGROOM_BINARY='$(CURDIR)/bin/strongroom'; \
	if [[ $$(id -u) -eq 0 ]]; then STRONGROOM_CLUSTER="$$(tools/deps/cluster || true)"; export STRONGROOM_CLUSTER; fi; \
	echo 'go test ./...'; go test ./...; \
	cd test/conformance; echo 'go test ./... (test/conformance)'; go test -count=1 ./...; \
	cd ../faults; echo 'go test ./... (test/faults)'; go test -count=1 ./...

cluster: build ## three nodes over PostgreSQL under Patroni, broken in every way; the primary killed FAILOVERS times
	@tools/deps/system iproute2
	@export STRONGROOM_POSTGRES="$$(tools/deps/postgresql)" STRONGROOM_CLUSTER="$$(tools/deps/cluster)"; \
	export STRONGROOM_BINARY='$(CURDIR)/bin/strongroom' STRONGROOM_CLUSTER_FAILOVERS='$(FAILOVERS)'; \
	cd test/faults; go test -count=1 -v -timeout 0 ./cluster

lint: ## go vet, staticcheck, govulncheck, gofmt, generated files up to date
	tools/lint

gen: ## write the generated files again
	go generate ./...

crash: build ## kill -9 under load ROUNDS times, on SQLite and on PostgreSQL by turns, and in the middle of every change
	STRONGROOM_POSTGRES="$$(tools/deps/postgresql)" STRONGROOM_BINARY='$(CURDIR)/bin/strongroom' STRONGROOM_CRASH_ROUNDS=$(ROUNDS) \
		go test -count=1 -timeout 0 -v -run 'Killed|FaultPoints|Denials' ./internal/servertest/crash

soak: build ## everything at once for MINUTES; fails when the server grows
	STRONGROOM_BINARY='$(CURDIR)/bin/strongroom' STRONGROOM_SOAK_MINUTES=$(MINUTES) go test -count=1 -timeout 0 -v ./internal/servertest/soak

bench: build ## speed of the server and of the floor program, as a table and JSON
	tools/bench

check: lint test race fuzz mutants ## all that a release must pass; takes long

race: ## the tests under the race detector
	tools/deps/system gcc libc6-dev
	CGO_ENABLED=1 STRONGROOM_POSTGRES="$$(tools/deps/postgresql)" go test -race ./...

fuzz: ## every fuzz target, each for FUZZTIME seconds
	tools/fuzz $(FUZZTIME)

.PHONY: hostile flood
REQUESTS ?= 100000
hostile: ## REQUESTS hostile requests, with what they reached
	HOSTILE_REQUESTS=$(REQUESTS) go test ./internal/servertest/hostile -run TestHostileRequests -v -count=1 -timeout 6h

flood: MINUTES = 10
flood: ## MINUTES of unsigned requests, as many as are answered
	FLOOD_SECONDS=$$(( $(MINUTES) * 60 )) go test ./internal/servertest/hostile -run TestUnsignedFlood -v -count=1 -timeout 6h

mutants: ## seeded faults in the policy engine, each of which the tests must catch
	tools/mutants

powerloss: build ## ROUNDS power cuts under load on each engine: what was acknowledged is there, and the control loses something
	@export STRONGROOM_POSTGRES="$$(tools/deps/postgresql)" STRONGROOM_BINARY='$(CURDIR)/bin/strongroom' STRONGROOM_POWERLOSS_ROUNDS='$(ROUNDS)'; \
	cd test/faults; go test -count=1 -timeout 0 -v ./powerloss

deps: ## fetch what the tests need: PostgreSQL, AWS CLI and boto3, as private trees, and the Go modules
	go mod download
	cd test/conformance && go mod download
	cd test/faults && go mod download
	tools/deps/postgresql
	tools/deps/clients

clean: ## remove what the build made; `rm -r "$(tools/deps/where)"` removes the fetched trees too
	rm -rf bin
	go clean -testcache

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
