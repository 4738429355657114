--TEST--
A stream of the library gets the last values of its topics first
--INI--
sse.namespace=stream_retained
sse.udp=
sse.idle_exit=5
--FILE--
<?php
require __DIR__ . '/../../php/src/Stream.php';
sse_publish('s.a', 'old', retain: true);
sse_publish('s.a', '21', retain: true);
sse_publish('t', 'not watched', retain: true);
Sse\Stream::of('s.*')->retained()->retry(0)->heartbeat(0)->maxLifetime(1)->open();
Sse\Stream::of('s.*')->retained(false)->retry(0)->heartbeat(0)->maxLifetime(1)->open();
echo 'end';
?>
--EXPECTF--
:

data: 21

id: %d-%d

:
id: %d-%d

end
