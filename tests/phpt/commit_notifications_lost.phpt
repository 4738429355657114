--TEST--
Notifications that are held back until the end of the request, and that the hub can't take then, are told in the log
--INI--
sse.socket=/no/such/folder/hub.sock
sse.udp=
sse.publish=commit
--FILE--
<?php
foreach (range('a', 'l') as $topic) {
    SseTrigger::push($topic) || exit('not held back');
}
echo "the end\n";
?>
--EXPECTF--
the end
sse: 12 of 12 notifications held back until the end of the request were not sent: /no/such/folder%s; topics: a, b, c, d, e, f, g, h, i, j and 2 more
