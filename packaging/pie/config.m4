dnl For phpize, and with it PIE: cargo builds the extension (Makefile.frag), for the PHP whose phpize this is.
PHP_ARG_ENABLE([sse],
  [whether to enable sse],
  [AS_HELP_STRING([--enable-sse], [Event streams that hold no PHP worker])],
  [yes])

if test "$PHP_SSE" != "no"; then
  AC_PATH_PROG([CARGO], [cargo], [no])
  if test "$CARGO" = "no"; then
    AC_MSG_ERROR([there is no cargo on the PATH; sse is written in Rust, install 1.91 or newer (https://rustup.rs)])
  fi
  AC_MSG_CHECKING([for Rust 1.91 or newer])
  SSE_RUST=`rustc --version 2>/dev/null | cut -d ' ' -f 2`
  if test "`printf '%s\n' 1.91 "$SSE_RUST" | sort -V | head -n 1`" != "1.91"; then
    AC_MSG_ERROR([rustc is ${SSE_RUST:-missing}; install 1.91 or newer (https://rustup.rs)])
  fi
  AC_MSG_RESULT([$SSE_RUST])

  dnl The whole project, of which this is a folder; SSE_SOURCE in the environment says where another copy of this folder finds it.
  SSE_SOURCE=${SSE_SOURCE:-`cd "$abs_srcdir/../.." && pwd`}
  if test ! -f "$SSE_SOURCE/Cargo.lock"; then
    AC_MSG_ERROR([$SSE_SOURCE is not the source of php-sse; set SSE_SOURCE to it])
  fi
  SSE_PHP_CONFIG=$PHP_CONFIG
  PHP_SUBST([CARGO])
  PHP_SUBST([SSE_SOURCE])
  PHP_SUBST([SSE_PHP_CONFIG])
  PHP_MODULES="$PHP_MODULES modules/sse.so"
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/Makefile.frag], [$abs_srcdir], [$abs_builddir])
fi
