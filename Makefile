# Every target sets up what it needs on a bare Debian machine that has a Rust toolchain; see tools/setup.
SHELL := bash
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

.PHONY: build demo demo-fpm test install soak fuzz valgrind clean

build:
	@tools/setup build
	cargo build --release --locked
	@tools/place "$(CARGO_TARGET_DIR)/release/libsse.so" build/sse.so

demo: build
	@php/demo/run

demo-fpm: build
	@tools/setup demo-fpm
	@php/demo/run-fpm

test:
	@tools/setup build test
	@tools/test

install: build
	@tools/install build/sse.so

# Opens and closes many more streams than `make test` does, on every server. STREAMS=100000 make soak
soak: build
	@tools/setup test
	@SSE_SOAK_STREAMS=$${STREAMS:-50000} tools/test servers --group soak

# The property tests of everything that reads a peer's bytes, for long. CASES=1000000 make fuzz
fuzz:
	PROPTEST_CASES=$${CASES:-200000} cargo test -p sse-hub --release --locked

valgrind: build
	@tools/setup test
	@tools/test valgrind

clean:
	rm -rf build "$(CARGO_TARGET_DIR)" tests/node/node_modules .phpunit.result.cache
