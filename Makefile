# Every target sets up what it needs on a bare Debian machine that has a Rust toolchain; see tools/setup.
SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo demo-fpm test test-php matrix install uninstall deb deb-test docker-test libraries release bench bench-quick soak fuzz valgrind asan clean

# For the PHP on the PATH, or that of PHP or PHP_CONFIG: make PHP=php8.4
build:
	@tools/setup build
	$(if $(PHP)$(PHP_CONFIG),tools/for-php )cargo build --release --locked
	@tools/strip "$(TARGET)/release/libsse.so" build/sse.so

demo: build
	@tools/setup demo
	@php/demo/run

demo-fpm: build
	@tools/setup demo-fpm
	@php/demo/run-fpm

test:
	@tools/setup build test analyse
	@tools/test

# With another PHP, which it brings: make test-php PHP=8.5, make test-php PHP=8.4-zts-debug
test-php:
	@tools/setup test
	@tools/test-php $(PHP)

# With those that Debian has packages of; docs/operations/platforms.md keeps what ran.
matrix:
	@tools/setup test
	@tools/test-php 8.4 8.5 8.6

# For the same PHP as `make build`. Several can each have it: make install PHP=php8.2, make install PHP=php8.4
install: build
	@tools/install build/sse.so

uninstall:
	@tools/install --remove

# A package for Debian, in build/, for the same PHP as `make build`.
deb: build
	@packaging/deb/build build/sse.so

# Installed, updated under a stream, and removed, in a bare Debian 12 and 13.
deb-test:
	@packaging/deb/test

# The steps of the Dockerfiles, and the services of packaging/docker/compose.yaml, without Docker, in a bare Debian 12.
docker-test:
	@packaging/docker/test

# The Composer library and the browser client as they are published, in build/.
libraries:
	@tools/setup libraries
	@packaging/libraries

# All that a release has, in build/release, for this PHP and others: PHPS='own 8.4 8.5' make release
release:
	@tools/setup build test release
	@packaging/release $(PHPS)

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
	@[ -n "$$SCENARIO" ] || SSE_SOAK_ROUNDS=$${ROUNDS:-6} \
		cargo test -p sse-hub --locked --test hub -- presence_chaos bus_sentinel::hubs_follow
	@[ -n "$$SCENARIO" ] || SSE_SOAK_STREAMS=$${STREAMS:-50000} SSE_SOAK_CLIENTS=$${CLIENTS:-3000} tools/test servers --group soak

# Everything that reads a peer's bytes, with libFuzzer. SECONDS_EACH=600 make fuzz
fuzz:
	@tools/setup build
	@fuzz/run

valgrind: build
	@tools/setup test
	@tools/test valgrind

# The extension and the hub with the address sanitizer, under the phpt tests and the hostile ones of the servers.
asan:
	@tools/setup build test
	@tools/asan

clean:
	rm -rf build "$(TARGET)" tests/node/node_modules js/node_modules tests/browser/node_modules php/demo/web/node_modules .phpunit.result.cache
