# Each target does its own set-up: on a fresh Debian 12 machine with Go, make
# and root nothing has to be prepared. `make` alone lists what there is.

GO            ?= go
ACTIONLINT    ?= $(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		awk -F '\t' '{ printf "  make %-8s %s\n", $$1, $$2 }'

.PHONY: build
build: ## build bin/gapool
	$(GO) build -ldflags '-s -w' -o bin/gapool ./cmd/gapool

.PHONY: demo
demo: ## a Ray cluster and a genetic algorithm on it, from nothing
	@scripts/demo

.PHONY: test
test: ## every test: vet, units, real Docker, real Ray, a real browser
	@scripts/test

.PHONY: bench
bench: ## time against the Docker API called directly, and plans of 10,000 objects
	@scripts/bench

.PHONY: chaos
chaos: ## gapool killed at random moments on a real engine: N=50 rounds, SEED=… to repeat
	@scripts/chaos $(or $(N),20) $(or $(SEED),0)

.PHONY: lint
lint: ## golangci-lint and actionlint, compiled the first time (minutes)
	$(GOLANGCI_LINT) run
	$(ACTIONLINT) examples/ci/github/gapool.yml

.PHONY: fmt
fmt: ## gofmt all Go files, gapool fmt the examples
	gofmt -w $$(git ls-files '*.go')
	$(GO) run ./cmd/gapool fmt -recursive examples

.PHONY: docs
docs: ## write docs/resources.md from the attribute tables
	$(GO) test . -run TestResourcesPage -update -count=1

.PHONY: clean
clean: ## remove what make built; containers and state stay
	rm -rf bin
