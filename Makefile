# OmniNode Bridge. `make help` lists what can be done; MODE=debug|release|asan|tsan|cov|prove, release unless set.
MODE ?= release
CC ?= cc
BUILD := build/$(MODE)
VERSION := $(shell cat VERSION)

BLAKE3_DIR := $(firstword $(wildcard /usr/share/cargo/registry/blake3-*/c))
PROGRAMS := $(addprefix $(BUILD)/,bridge-orchestrator bridge-reducer metadata-stamping onextree bridgectl bridge-broker)

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wformat=2 -Wswitch-enum -Wvla $(if $(WERROR)$(CI),-Werror)
CPPFLAGS := -Ilib -Inodes -I. -I$(BLAKE3_DIR) -I$(shell pg_config --includedir) -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
CFLAGS_debug := -O0 -g3
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_prove := $(CFLAGS_release) -DCRASH_POINTS
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_cov := -O0 -g --coverage
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := -Wl,-z,relro,-z,now -pie
LDFLAGS_prove := $(LDFLAGS_release)
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread -Wl,-u,thrd_create
LDFLAGS_cov := --coverage
LDFLAGS_fuzz := -fsanitize=address,undefined
CFLAGS := -std=c11 $(WARNINGS) $(CFLAGS_$(MODE)) -pthread $(EXTRA_CFLAGS)
LDFLAGS := $(LDFLAGS_$(MODE)) -pthread
LDLIBS := -lcivetweb -lcurl -lpq -lrdkafka -lfyaml -lcjson -lpcre2-8 -lcrypto -lxxhash -lm
PURE_LDLIBS := -lfyaml -lcjson -lpcre2-8 -lcrypto -lxxhash -lm

# BLAKE3: the C sources that Debian's librust-blake3-dev installs, compiled here, never copied.

BLAKE3_SOURCES := blake3.c blake3_dispatch.c blake3_portable.c $(if $(filter x86_64,$(shell uname -m)), \
  blake3_sse2_x86-64_unix.S blake3_sse41_x86-64_unix.S blake3_avx2_x86-64_unix.S blake3_avx512_x86-64_unix.S)
BLAKE3_OBJECTS := $(patsubst %,$(BUILD)/blake3/%.o,$(BLAKE3_SOURCES))

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)))
PURE_OBJECTS := $(call objects,lib/base/*.c lib/core/*.c nodes/*/core/*.c)
IO_OBJECTS := $(call objects,lib/io/*.c)
# Pages and API descriptions that are part of the programs (lib/io/assets.h).
ASSETS := $(wildcard nodes/*.html nodes/*/*.html nodes/*/openapi.json)
ASSET_OBJECTS := $(patsubst nodes/%,$(BUILD)/assets/%.o,$(ASSETS))
TEST_IOS := $(patsubst tests/io/%.c,$(BUILD)/tests/io/%,$(wildcard tests/io/test_*.c))
TEST_UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.DEFAULT_GOAL := build
.PHONY: build
build: $(PROGRAMS) ## compile everything into build/<mode>/

$(BUILD)/libpure.a: $(PURE_OBJECTS)
	@rm -f $@; $(AR) rcs $@ $^
$(BUILD)/libio.a: $(IO_OBJECTS) $(ASSET_OBJECTS)
	@rm -f $@; $(AR) rcs $@ $^
$(BUILD)/libblake3.a: $(BLAKE3_OBJECTS)
	@rm -f $@; $(AR) rcs $@ $^

# Crash points (lib/io/crash_point.h) are in the nodes alone: MODE=prove takes the libraries of release.
LIBRARIES := $(addprefix build/$(MODE:prove=release)/,libio.a libpure.a libblake3.a)
ifeq ($(MODE),prove)
$(LIBRARIES): ; @$(MAKE) --no-print-directory MODE=release $@
endif
define program # name, sources
$(BUILD)/$(1): $(call objects,$(2)) $(LIBRARIES)
	@echo "  LINK  $$@"; $(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(eval $(call program,bridge-orchestrator,nodes/orchestrator/*.c))
$(eval $(call program,bridge-reducer,nodes/reducer/*.c))
$(eval $(call program,metadata-stamping,nodes/metadata-stamping/*.c))
$(eval $(call program,onextree,nodes/onextree/*.c))
# `bridgectl rebuild` counts, loads and writes as the reducer does, and reads the log as the orchestrator does.
$(eval $(call program,bridgectl,tools/bridgectl/*.c nodes/reducer/store*.c nodes/reducer/record.c \
  nodes/orchestrator/store_read.c nodes/orchestrator/registry*.c nodes/orchestrator/publisher_event.c))
$(eval $(call program,bridge-broker,tools/bridge-broker/*.c))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D); echo "  CC    $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/assets/%.o: nodes/% tools/asset.sh
	@mkdir -p $(@D); tools/asset.sh $< > $(@:.o=.c); $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $(@:.o=.c)
$(BUILD)/blake3/%.o: $(BLAKE3_DIR)/%
	@mkdir -p $(@D); $(CC) -O3 -fPIE -c -o $@ $<

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libpure.a $(BUILD)/libblake3.a
	@$(CC) $(LDFLAGS) -o $@ $^ -lcheck -lsubunit $(PURE_LDLIBS) -lrt

.PHONY: test-unit
test-unit: $(TEST_UNITS) ## unit tests (Check); they link pure objects only
	@set -e; for t in $(TEST_UNITS); do CK_FORK=no $$t; done

$(BUILD)/tests/io/%: $(BUILD)/tests/io/%.o $(BUILD)/libio.a $(BUILD)/libpure.a $(BUILD)/libblake3.a
	@$(CC) $(LDFLAGS) -o $@ $^ -lcheck -lsubunit $(LDLIBS) -lrt

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/libio.a $(BUILD)/libpure.a $(BUILD)/libblake3.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-io
test-io: $(TEST_IOS) ## lib/io against a real, throw-away PostgreSQL and local HTTP servers
	@set -e; for t in $(TEST_IOS); do CK_FORK=no TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp" \
	  tools/with-postgres.sh $$t; done

.PHONY: test-cases
test-cases: $(BUILD)/bridgectl ## the States Language: conformance cases, random machines against a model (tests/cases)
	@tests/cases/run.py --program $<
	@PYTHONDONTWRITEBYTECODE=1 tests/cases/random_machines.py --program $<

.PHONY: test-contracts
test-contracts: $(BUILD)/bridgectl ## the *.test.yaml files beside the contracts, on a virtual clock
	@$< contracts test contracts

# Simulation: the nodes' own code on twins of the database, the broker, services and clocks (tests/sim/world.h).
SIM_WRAPPED := read write close poll eventfd eventfd_read eventfd_write epoll_create1 epoll_ctl epoll_wait \
  pthread_create pthread_join pthread_detach pthread_mutex_lock pthread_cond_wait pthread_cond_signal pthread_cond_broadcast
$(BUILD)/tests/sim/libnode.a: $(filter-out %/main.o,$(call objects,nodes/orchestrator/*.c)) \
  $(patsubst %,$(BUILD)/lib/io/%.o,postgres_value postgres_pool contract_files)
	@mkdir -p $(@D); rm -f $@; $(AR) rcs $@ $^
SIM_LINK = echo "  LINK  $@"; $(CC) $(LDFLAGS) -o $@ $^ $(SIM_WRAPPED:%=-Wl,--wrap=%) -lpq $(PURE_LDLIBS)
SIM_LIBRARIES := $(addprefix $(BUILD)/,tests/sim/libnode.a libpure.a libblake3.a)
$(BUILD)/tests/sim/sim: $(call objects,tests/sim/*.c) $(SIM_LIBRARIES)
	@$(SIM_LINK)
# One suite for the twin of the database and for PostgreSQL.
$(BUILD)/tests/conform/twin: $(call objects,tests/conform/twin.c tests/conform/conform.c) \
  $(filter-out %/main.o,$(call objects,tests/sim/*.c)) $(SIM_LIBRARIES)
	@$(SIM_LINK)
$(BUILD)/tests/conform/real: $(call objects,tests/conform/real.c tests/conform/conform.c) $(BUILD)/tests/sim/libnode.a \
  $(BUILD)/libio.a $(BUILD)/libpure.a $(BUILD)/libblake3.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.PHONY: sim test-sim
sim: $(BUILD)/tests/sim/sim ## faults of all kinds on a virtual clock (SEEDS=1000, or SEED=7 for one)
	@$< $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(SIM_ARGS)
.PHONY: mutation
mutation: $(BUILD)/tests/sim/sim $(BUILD)/tests/conform/twin ## one protection at a time is removed from a copy: is it noticed? (ONLY=fence)
	@MODE=$(MODE) $(PYTHON) tests/mutation/run.py --only "$(ONLY)"
test-sim: $(BUILD)/tests/sim/sim $(BUILD)/tests/conform/twin $(BUILD)/tests/conform/real ## 500 seeds of the simulation; twin and real
	@$(BUILD)/tests/conform/twin
	@tools/with-postgres.sh $(BUILD)/tests/conform/real
	@$< --seeds 500

# The stack on this machine: tools/stack/stack.py. Variables: BROKER=embedded|kafka PORT_BASE=20000
# ORCHESTRATORS=2 REDUCERS=2 DIR=path, and every option of the programs.
PYTHON := /usr/bin/python3
STACK := MODE=$(MODE) $(PYTHON) tools/stack/stack.py
PACKAGES := build run $(if $(filter kafka,$(BROKER)),kafka)

.PHONY: run up down status logs
run: ## the whole thing: install what is missing, build, start, stamp every file here (DIR=...), check
	@tools/install-packages.sh $(PACKAGES)
	@$(MAKE) --no-print-directory build
	@$(STACK) run
up: ## start what is not running of the stack (BROKER=kafka PORT_BASE=20000 ORCHESTRATORS=2 REDUCERS=2)
	@tools/install-packages.sh $(PACKAGES)
	@$(MAKE) --no-print-directory build
	@$(STACK) up
down: ## stop the stack; its data stays (PURGE=1 removes it)
	@$(PYTHON) tools/stack/stack.py down
status: ## what of the stack runs
	@$(PYTHON) tools/stack/stack.py status
logs: ## the stack's logs (PART=orchestrator for one)
	@$(PYTHON) tools/stack/stack.py logs

# The tests that need real servers; they start their own. PYTEST_ARGS="-k kill" chooses, KEEP=1 keeps
# the directories with logs, TEST_SCALE=0.3 makes the big ones smaller, TEST_JOBS=1 runs one test at a time, FULL=1
# runs test_scale.py with 100,000 workflows in Wait and a Map of 10,000 items.
PYTEST := env MODE=$(MODE) PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -p no:cacheprovider

.PHONY: test test-integration test-kafka test-valgrind
test: ## everything that proves the product on one machine
	@tools/install-packages.sh build run test lint
	@MODE=$(MODE) tools/run-tests.sh $(TEST_STEPS)
TEST_STEPS := build lint test-unit test-corpus test-contracts test-cases test-sim test-io prove test-integration
GENERATORS := $(addprefix $(BUILD)/tests/bench/,fill_topic publish_lines)
test-integration: ## tests with real servers: PostgreSQL, the embedded broker, our programs
	@tools/install-packages.sh build run test
	@$(MAKE) --no-print-directory build $(GENERATORS)
	@tests/integration/run.sh $(PYTEST) -m "not kafka and not valgrind" $(PYTEST_ARGS) tests/integration
test-valgrind: ## nodes under valgrind: no leak, no error (slow)
	@tools/install-packages.sh build run test valgrind
	@$(MAKE) --no-print-directory build
	@$(PYTEST) -m valgrind $(PYTEST_ARGS) tests/integration
test-kafka: ## tests that need a real Apache Kafka
	@tools/install-packages.sh build run test kafka
	@$(MAKE) --no-print-directory build
	@$(PYTEST) -m kafka $(PYTEST_ARGS) tests/integration

# Nothing lost, nothing doubled, while everything is killed: tests/prove/prove.py says how. BROKER=kafka for a
# real Kafka, which is killed too; KEEP=1 keeps the folder.
.PHONY: prove
prove: ## kill everything for MINUTES=1, then audit (SEED=7 BROKER=kafka)
	@tools/install-packages.sh build run test $(if $(filter kafka,$(BROKER)),kafka)
	@$(MAKE) --no-print-directory MODE=release build
	@$(MAKE) --no-print-directory MODE=prove $(addprefix build/prove/,bridge-orchestrator bridge-reducer)
	@env MODE=release PYTHONDONTWRITEBYTECODE=1 MINUTES=$(MINUTES) SEED=$(SEED) BROKER=$(BROKER) $(PYTHON) tests/prove/prove.py
.PHONY: prove-mutants
prove-mutants: prove ## take one protection away at a time: prove must notice (MUTANTS="epoch key" for some)
	@env PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/prove/mutants.py $(MUTANTS)

# libFuzzer with ASan and UBSan over tests/fuzz/fuzz_*.c; seeds and what once failed stand in tests/fuzz/corpus, what
# runs learn in build/fuzz/corpus. test-corpus runs the seeds with any compiler.
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libpure.a build/fuzz/libblake3.a
	@echo "  LINK  $@"; $(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PURE_LDLIBS)
.PHONY: fuzz fuzz-run test-corpus
fuzz: ## random inputs, each target for FUZZ_SECONDS=60 (FUZZER=fuzz_asl_replay for one)
	@tools/install-packages.sh build test lint
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang fuzz-run
FUZZ_SECONDS ?= 60
fuzz-run: $(if $(FUZZER),$(FUZZER:%=build/fuzz/%),$(FUZZERS))
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/fuzz/run.py $(FUZZ_SECONDS) $(^F)
CORPUS_RUNS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
$(CORPUS_RUNS): %: %.o $(BUILD)/tests/fuzz/run_corpus.o $(BUILD)/libpure.a $(BUILD)/libblake3.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(PURE_LDLIBS)
test-corpus: $(CORPUS_RUNS) ## the seeds of the fuzzer, and what it once found, through their targets
	@set -e; for t in $^; do $$t tests/fuzz/corpus/$${t##*/}; done

# Workflows per commit, events per read, what they cost and how far it scales: docs/benchmarks.md.
# BENCH="pure waiting" for some parts (pure, workflows, waiting, reducer); RECORD=1 writes into docs/.
BENCH_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
.PHONY: bench
bench: ## figures of this machine (BENCH_SECONDS=8 BENCH_ROUNDS=3 REDUCER_EVENTS=2000000)
	@tools/install-packages.sh build run test kafka valgrind
	@$(MAKE) --no-print-directory build $(BENCH_PROGRAMS)
	@MODE=$(MODE) PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/bench/run.py $(BENCH)

# The guards of the layers, and the documents that are made from tables (config.def, metrics.def, error.def).
.PHONY: lint format docs
lint: $(BUILD)/bridgectl $(TEST_UNITS) ## layers, pure objects, licences, scripts, generated documents
	@status=0; for check in "layers.sh" "files.sh" "pure.sh $(PURE_OBJECTS)" "units.sh $(TEST_UNITS)" "guarantees.sh" \
	  "generated.sh $(BUILD)/bridgectl"; do tools/lint/$$check || status=1; done; exit $$status
format: ## rewrite the C files as .clang-format says
	@git ls-files 'lib/*.[ch]' 'nodes/*.[ch]' 'tools/*.[ch]' 'tests/*.[ch]' | xargs clang-format -i
docs: $(BUILD)/bridgectl ## rewrite .env.example and docs/reference from the tables, and the pictures of contracts
	@tools/lint/generated.sh --write $<

PREFIX ?= /usr/local
DATA := $(DESTDIR)$(PREFIX)/share/omninode-bridge
.PHONY: install
install: build ## programs, contracts and migrations under PREFIX=/usr/local (DESTDIR for packages)
	@install -d $(DESTDIR)$(PREFIX)/bin $(DATA)
	@install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	@cp -r contracts migrations $(DATA)
	@echo "installed; set CONTRACTS_DIR=$(PREFIX)/share/omninode-bridge/contracts MIGRATIONS_DIR=$(PREFIX)/share/omninode-bridge/migrations"

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 22

.PHONY: clean
clean: ## remove build/<mode>/
	rm -rf $(BUILD)

-include $(shell test -d $(BUILD) && find $(BUILD) -name '*.d')
