--TEST--
A subscription with a timeout ends its iteration, and can be taken up again
--INI--
sse.namespace=subscription_timeout
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 0.05]);
foreach ($reader as $event) {
    echo "no event was published\n";
}
var_dump($reader->valid(), $reader->current());
sse_publish('a', 'first');
sse_publish('a', 'second');
foreach ($reader as $n => $event) {
    echo "$n $event->data\n";
}
?>
--EXPECT--
bool(false)
NULL
0 first
1 second
