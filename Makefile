# Every target sets up what it needs on a bare Debian machine that has a Rust toolchain; see tools/setup.
SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo demo-fpm test install soak fuzz valgrind clean

build:
	@tools/setup build
	cargo build --release --locked
	@tools/place "$(TARGET)/release/libsse.so" build/sse.so

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

# Opens and closes many more streams than `make test` does, on every server, and publishes many more events. STREAMS=100000 make soak
soak: build
	@tools/setup test
	SSE_SOAK_EVENTS=$${EVENTS:-1000000} cargo test -p sse-hub --locked --test memory many_events -- --nocapture
	@SSE_SOAK_STREAMS=$${STREAMS:-50000} tools/test servers --group soak

# Everything that reads a peer's bytes, with libFuzzer. SECONDS_EACH=600 make fuzz
fuzz:
	@tools/setup build
	@fuzz/run

valgrind: build
	@tools/setup test
	@tools/test valgrind

clean:
	rm -rf build "$(TARGET)" tests/node/node_modules .phpunit.result.cache
