--TEST--
SseTrigger::defer() sends its notifications at the end of a request that succeeds, after its events, whatever sse.publish says
--INI--
sse.socket=/no/such/folder/hub.sock
sse.udp=
--FILE--
<?php
var_dump(SseTrigger::push('a'), SseTrigger::defer('a', 'b'), SseTrigger::defer('a'));
var_dump(SseTrigger::defer(), SseTrigger::defer('a b'));
echo "the end\n";
?>
--EXPECTF--
bool(false)
bool(true)
bool(true)
bool(false)
bool(false)
the end
sse: 2 of 2 notifications held back until the end of the request were not sent: /no/such/folder%s; topics: a, b
