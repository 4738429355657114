--TEST--
An event's properties can be read only
--INI--
sse.namespace=event_is_read_only
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 10]);
sse_publish('a', 'x');
$reader->rewind();
$event = $reader->current();
try {
    $event->data = 'y';
} catch (Error $e) {
    echo $e->getMessage(), "\n";
}
try {
    serialize($event);
} catch (Exception $e) {
    echo $e->getMessage(), "\n";
}
var_dump($event->data, $reader->current() === $event);
?>
--EXPECT--
Cannot modify readonly property SseEvent::$data
Serialization of 'SseEvent' is not allowed
string(1) "x"
bool(true)
