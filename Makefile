# SPDX-License-Identifier: Apache-2.0
# The front door; Meson and ninja do the work. `make help` lists what there is.

PREFIX  ?= /usr/local
DESTDIR ?=
SECONDS ?= 60
BUILD   := build

.DEFAULT_GOAL := all
.PHONY: all setup-build setup-demo setup-package setup-test setup-bench-peers install deb demo test test-kernels bench bench-peers fuzz format clean help

all: setup-build $(BUILD)/build.ninja ## build build/linnet
	@ninja -C $(BUILD)
	@tools/setup own

$(BUILD)/build.ninja:
	@meson setup $(BUILD) -Dtests=false

setup-build setup-demo setup-package setup-test setup-bench-peers: setup-%:
	@tools/setup $*

install: all ## install it; DESTDIR= and PREFIX= as usual
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD)
	@tools/setup own

deb: setup-package ## build a Debian package in build-deb/
	@tools/deb
	@tools/setup own

demo: setup-demo all ## show the main job in a small internet of its own (root)
	@demo/run $(BUILD)/linnet

test: setup-test ## run every test (root: the kernel tests too); ONLY="unit lint" for some
	@tests/run $(ONLY)

test-kernels: setup-test ## run some tests under Debian's 5.10 to newest kernel, in qemu (root)
	@tests/run kernels

bench: setup-test $(BUILD)/build.ninja ## measure what linnet costs (root)
	@tests/run --build-only
	@tests/bench/run $(BUILD) $(BENCH_ARGS)

bench-peers: setup-bench-peers $(BUILD)/build.ninja ## measure it beside strace, auditd and others (root)
	@tests/run --build-only
	@tests/bench/run $(BUILD) --peers $(BENCH_ARGS)

fuzz: setup-test ## fuzz each parser for SECONDS= (60)
	@tests/fuzz/run $(SECONDS)

format: setup-test ## format the C sources
	@tests/lint/sources.py --c | xargs clang-format -i

clean: ## remove what was built
	@rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
