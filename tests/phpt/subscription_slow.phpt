--TEST--
A process that reads too slowly loses nothing that the hub still keeps: its subscription goes on after the last event
--INI--
sse.namespace=subscription_slow
sse.udp=
sse.idle_exit=5
sse.stream_buffer=1M
--FILE--
<?php
$subscription = new SseSubscription('a', ['timeout' => 10]);
for ($number = 0; $number < 60; $number++) {
    sse_publish('a', str_pad("$number", 100_000));
}
var_dump(sse_stats()['streams']['closed']['slow']);
$read = [];
foreach ($subscription as $event) {
    $read[] = (int) $event->data;
    if (count($read) === 60) {
        break;
    }
}
var_dump($read === range(0, 59));
?>
--EXPECT--
int(1)
bool(true)
