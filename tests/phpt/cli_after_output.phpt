--TEST--
On the command line output before a stream raises no warning about headers, and output after it is not thrown away
--INI--
sse.namespace=cli_after_output
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
echo "output\n";
set_error_handler(fn (int $kind, string $message) => throw new ErrorException($message));
sse_stream('a.*', null, ['max_lifetime' => 1]);
echo "more\n";
?>
--EXPECTF--
output
:
id: %d-%d

more
