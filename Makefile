# The commands that people use here; `make help` lists them.
SHELL := /bin/bash
SWIFT ?= swift
# Takes no warning in our own targets.
STRICT = TRUNKLINE_STRICT=1 $(SWIFT)
RUN_TESTS = TRUNKLINE_STRICT=1 SWIFT='$(SWIFT)' Tests/run
PROCESSES = EndToEndTests|AgentTests|MessagingTests|PlatformsTests
END_TO_END = Tests/end-to-end "$$($(STRICT) build --show-bin-path)/trunklinePackageTests.xctest"
# They wait for each other's threads: apart from those that keep all of them at work.
WAITING = ManagerTests
SOURCES = $(shell git ls-files '*.swift')
VERSION = $(shell git describe --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help dependencies build package run demo test check lint format unit e2e chaos bench simulate fuzz api-fuzz clean

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

# Of `make build`, unless PROGRAMS names another directory with both programs.
package: $(if $(PROGRAMS),,build) ## Debian packages in dist/: PROGRAMS=directory for programs that are built already, DEB_VERSION=1.2.3
	@Packaging/build '$(or $(PROGRAMS),bin)' dist $(DEB_VERSION)

run: build ## The main job, shown: broker, manager, three machines, real calls, the switch to messaging; then live until Ctrl-C
	@bin/trunkline dev --demo

demo: build ## The same, and exits with 0 or 1
	@bin/trunkline dev --demo --exit

test: dependencies lint ## Everything that must hold: format, warnings, unit and end-to-end tests
	$(STRICT) build --build-tests
	@# A compiler may fail in what only `make build` asks of it.
	Tests/optimised
	$(RUN_TESTS) --skip '$(PROCESSES)|$(WAITING)'
	@# One suite at a time where real processes share two cores.
	$(RUN_TESTS) --filter '$(WAITING)'
	for target in MessagingTests AgentTests PlatformsTests; do $(RUN_TESTS) --filter $$target || exit 1; done
	$(END_TO_END)
	Tests/packages/run "$$($(STRICT) build --show-bin-path)"
	Tests/cgroups/run "$$($(STRICT) build --show-bin-path)/trunklinePackageTests.xctest"

check: test ## The same as test

lint: ## swift format lint --strict
	@$(SWIFT) format lint --strict --configuration .swift-format $(SOURCES)

format: ## Rewrite the sources in the one format
	@$(SWIFT) format -i --configuration .swift-format $(SOURCES)

unit: ## Tests without processes only
	$(STRICT) build --build-tests
	$(RUN_TESTS) --skip '$(PROCESSES)|$(WAITING)'
	$(RUN_TESTS) --filter '$(WAITING)'

e2e: ## End-to-end tests only
	$(STRICT) build --build-tests
	$(END_TO_END)

# Not SECONDS: in the shell that is a clock.
chaos fuzz: seconds = $(if $(filter command% environment%,$(origin SECONDS)),$(SECONDS),60)
chaos: dependencies ## Calls, sessions and changes on a real fleet in trouble, by SEED=1, for SECONDS=60 each
	$(STRICT) build --build-tests
	CHAOS_SECONDS=$(seconds) CHAOS_SEED=$(or $(SEED),1) $(RUN_TESTS) --no-parallel --filter ChaosTests/bySeed

bench: build ## Speed and memory against goals and a bare broker: ROW=statuses,drift REPEAT=3 MACHINES=1000; RECORD=1 keeps the result; GROWTH=100,1000,10000 draws
	$(SWIFT) build -c release --static-swift-stdlib --product trunkline-bench
	@ROW='$(ROW)' REPEAT='$(REPEAT)' MACHINES='$(MACHINES)' RECORD='$(RECORD)' GROWTH='$(GROWTH)' \
	"$$($(SWIFT) build -c release --static-swift-stdlib --show-bin-path)/trunkline-bench"

simulate: ## 10,000 stories of a fleet under every kind of trouble (STORIES=…), laws checked after every step; TRUNKLINE_STORY=… tells one again
	$(STRICT) build --build-tests
	TRUNKLINE_SIMULATE=$(or $(STORIES),10000) $(RUN_TESTS) --filter ConvergenceTests/$(if $(TRUNKLINE_STORY),toldAgain,survives)

FUZZ = TRUNKLINE_FUZZ=1 $(SWIFT) build -c release --scratch-path .build-fuzz --product trunkline-fuzz
fuzz: dependencies ## libFuzzer over every input of strangers, SECONDS=60 each; TARGET=language for one
	$(FUZZ)
	@program="$$($(FUZZ) --show-bin-path)/trunkline-fuzz"; home=$$(mktemp -d $$(test -w /dev/shm && echo -p /dev/shm)); \
	trap 'rm -rf "$$home"' EXIT; failed=; mkdir -p .build-fuzz/findings; \
	for target in $(or $(TARGET),$(notdir $(wildcard Fuzz/corpus/*))); do \
	  echo "fuzzing $$target for $(seconds) s"; mkdir -p ".build-fuzz/corpus/$$target"; \
	  TMPDIR=$$home "$$program" $$target ".build-fuzz/corpus/$$target" "Fuzz/corpus/$$target" \
	    -max_total_time=$(seconds) -timeout=10 -rss_limit_mb=1024 -max_len=16384 -verbosity=0 \
	    -artifact_prefix=".build-fuzz/findings/$$target-" || failed="$$failed $$target"; \
	done; \
	test -z "$$failed" || { echo "findings of$$failed are in .build-fuzz/findings"; exit 1; }

api-fuzz: dependencies ## Schemathesis over the OpenAPI document of a real manager, EXAMPLES=20 an operation
	$(SWIFT) build --product trunkline
	@Tests/schemathesis/run "$$($(SWIFT) build --show-bin-path)/trunkline"

clean: ## Remove what was built
	rm -rf .build .build-fuzz bin dist
