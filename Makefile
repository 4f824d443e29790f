# The commands that people use here; `make help` lists them.
SHELL := /bin/bash
SWIFT ?= swift
SOURCES = $(shell git ls-files '*.swift')
VERSION = $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help dependencies build run demo test check lint format unit e2e bench clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dependencies: ## Install what is missing (apt): broker, headers, telephony programs
	@.ci/install-dependencies.sh

build: dependencies ## bin/trunkline and bin/trunkline-agent, release, statically linked Swift runtime
	$(SWIFT) build -c release --static-swift-stdlib --product trunkline
	$(SWIFT) build -c release --static-swift-stdlib --product trunkline-agent
	@mkdir -p bin
	@for program in trunkline trunkline-agent; do \
	  strip -o bin/$$program.new "$$($(SWIFT) build -c release --static-swift-stdlib --show-bin-path)/$$program" \
	  && mv -f bin/$$program.new bin/$$program || exit 1; done
	@ls -lh bin

run: build ## The main job, shown: broker, manager, three machines, real calls, the switch to messaging; then live until Ctrl-C
	@bin/trunkline dev --demo

demo: build ## The same, and exits with 0 or 1
	@bin/trunkline dev --demo --exit

test: dependencies lint ## Everything that must hold: format, warnings, unit and end-to-end tests
	TRUNKLINE_STRICT=1 $(SWIFT) build --build-tests
	TRUNKLINE_STRICT=1 $(SWIFT) test --skip-build

check: test ## The same as test

lint: ## swift format lint --strict
	@$(SWIFT) format lint --strict --configuration .swift-format $(SOURCES)

format: ## Rewrite the sources in the one format
	@$(SWIFT) format -i --configuration .swift-format $(SOURCES)

unit: ## Unit tests only
	TRUNKLINE_STRICT=1 $(SWIFT) test --skip EndToEndTests

e2e: ## End-to-end tests only
	TRUNKLINE_STRICT=1 $(SWIFT) test --filter EndToEndTests

bench: build ## Speed and memory against a bare broker, measured in one run
	$(SWIFT) build -c release --static-swift-stdlib --product trunkline-bench
	@"$$($(SWIFT) build -c release --static-swift-stdlib --show-bin-path)/trunkline-bench"

clean: ## Remove what was built
	rm -rf .build bin
