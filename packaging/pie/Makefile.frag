# A file, so that `make install`, which root may do, whose cargo is another or none, builds nothing that `make` has built.
modules/sse.so:
	cd "$(SSE_SOURCE)" && PHP_CONFIG="$(SSE_PHP_CONFIG)" tools/for-php "$(CARGO)" build --release --locked
	mkdir -p modules
	strip --strip-unneeded -o $@ "$${CARGO_TARGET_DIR:-$(SSE_SOURCE)/target}/release/libsse.so"
