--TEST--
next() before foreach keeps its place
--INI--
sse.namespace=subscription_next
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 0.05]);
foreach ([1, 2, 3] as $n) {
    sse_publish('a', (string) $n);
}
$reader->next();
echo $reader->key(), ' ', $reader->current()->data, "\n";
foreach ($reader as $key => $event) {
    echo "$key $event->data\n";
}
?>
--EXPECT--
0 1
0 1
1 2
2 3
