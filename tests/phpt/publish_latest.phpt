--TEST--
An SseSubscription that reads slowly gets the newest of the events with $latest, and all others
--INI--
sse.namespace=publish_latest
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 10]);
// More than a socket takes: all that follows waits in the hub.
sse_publish('a', str_repeat('x', 900_000), id: 'large');
for ($nth = 1; $nth <= 100; $nth++) {
    sse_publish('a', (string) $nth, latest: true);
}
sse_publish('a', 'other');
sse_publish(['a'], 'newest', latest: true);
sse_publish('a', 'end', latest: false);
foreach ($reader as $event) {
    echo strlen($event->data) > 100 ? $event->id : $event->data, "\n";
    if ($event->data === 'end') {
        break;
    }
}
var_dump(sse_stats()['superseded']);
?>
--EXPECT--
large
other
newest
end
int(100)
