--TEST--
The counters tell what has happened
--INI--
sse.namespace=stats
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$before = sse_stats();
$one = new SseSubscription('a', ['timeout' => 10]);
$two = new SseSubscription(['a', 'b.*', '**'], ['timeout' => 10]);
sse_publish('a', 'x');
sse_publish('b.c', 'x');
$one->rewind();
$two->rewind();
$two->next();
// What was read may be counted a moment later.
$deadline = microtime(true) + 10;
while (($stats = sse_stats())['delivered'] - $before['delivered'] < 3 && microtime(true) < $deadline) {
    usleep(1000);
}
echo $stats['streams']['open'], ' open, ', $stats['published'] - $before['published'], ' published, ',
    $stats['delivered'] - $before['delivered'], " delivered\n";
unset($one);
$deadline = microtime(true) + 10;
while (($open = sse_stats()['streams']['open']) > 1 && microtime(true) < $deadline) {
    usleep(1000);
}
echo $open, " open\n";
?>
--EXPECT--
2 open, 2 published, 3 delivered
1 open
