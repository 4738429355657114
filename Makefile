# Every target sets up what it needs on a bare Debian machine that has a Rust toolchain; see tools/setup.
SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo demo-fpm test install bench bench-quick soak fuzz valgrind clean

build:
	@tools/setup build
	cargo build --release --locked
	@tools/place "$(TARGET)/release/libsse.so" build/sse.so

demo: build
	@tools/setup demo
	@php/demo/run

demo-fpm: build
	@tools/setup demo-fpm
	@php/demo/run-fpm

test:
	@tools/setup build test
	@tools/test

install: build
	@tools/install build/sse.so

# Measures php-sse beside nchan, Pushpin, plain PHP loops and a bare epoll server, in turn and in several rounds, on an
# otherwise idle machine. Tables and plots go to build/bench; KEEP=1 make bench has docs/performance.md show them.
bench: build
	@tools/setup bench
	cargo build --profile tool --locked -p sse-bench
	@tools/bench "$(TARGET)/tool/sse-bench"

# The same in three minutes, with fewer streams: to see what a change does.
bench-quick: build
	@tools/setup bench
	cargo build --profile tool --locked -p sse-bench
	@tools/bench "$(TARGET)/tool/sse-bench" --quick

# Kills, stops, fills and cuts what it can while many publish and read, and proves that nothing got lost, doubled or out of
# order; then opens many more streams and publishes many more events than `make test` does. SECONDS_EACH=3600 make soak
# What a run prints repeats it: SEED=1 SCENARIO=sqlite SECONDS_EACH=300 make soak
soak: build
	@tools/setup test
	@SECONDS_EACH=$${SECONDS_EACH:-300} tools/test soak
	@[ -n "$$SCENARIO" ] || SSE_SOAK_EVENTS=$${EVENTS:-1000000} \
		cargo test -p sse-hub --locked --test memory many_events -- --nocapture
	@[ -n "$$SCENARIO" ] || SSE_SOAK_STREAMS=$${STREAMS:-50000} tools/test servers --group soak

# Everything that reads a peer's bytes, with libFuzzer. SECONDS_EACH=600 make fuzz
fuzz:
	@tools/setup build
	@fuzz/run

valgrind: build
	@tools/setup test
	@tools/test valgrind

clean:
	rm -rf build "$(TARGET)" tests/node/node_modules js/node_modules tests/browser/node_modules php/demo/web/node_modules .phpunit.result.cache
