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
// Its descriptors are closed one by one; all are once the process is a zombie or gone.
$deadline = microtime(true) + 10;
while (preg_match('/\) [^ZX] /', (string) @file_get_contents("/proc/$first/stat")) && microtime(true) < $deadline) {
    usleep(1000);
}
try {
    $reader->next();
} catch (SseUnavailable $e) {
    echo $e->getMessage(), "\n";
}
$next = sse_publish('a', 'x');
var_dump(sse_stats()['pid'] !== $first);
// Ids only grow, also from one hub to the next.
var_dump(array_map('intval', explode('-', $next)) > array_map('intval', explode('-', $id)));
?>
--EXPECT--
the hub ended the subscription: it stopped, or this process read too slowly (sse.stream_buffer)
bool(true)
bool(true)
