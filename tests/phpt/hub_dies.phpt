--TEST--
When the hub dies, readers are told, and the next call starts another
--EXTENSIONS--
posix
--INI--
sse.namespace=hub_dies
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a');
$first = sse_stats()['pid'];
$id = sse_publish('other', 'x');
posix_kill($first, 9);
try {
    $reader->next();
} catch (SseUnavailable $e) {
    echo $e->getMessage(), "\n";
}
// A process that is killed closes its connections one by one: a call on one that still stands is not answered.
$deadline = microtime(true) + 10;
do {
    try {
        $second = sse_stats()['pid'];
    } catch (SseUnavailable $e) {
        $second = $first;
    }
} while ($second === $first && microtime(true) < $deadline);
var_dump($second !== $first);
$next = sse_publish('a', 'x');
// Ids only grow, also from one hub to the next.
var_dump(array_map('intval', explode('-', $next)) > array_map('intval', explode('-', $id)));
?>
--EXPECT--
the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)
bool(true)
bool(true)
