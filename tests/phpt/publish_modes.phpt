--TEST--
Events wait for an answer, for none, or for the end of the request, within bounds
--INI--
sse.namespace=publish_modes
sse.udp=
sse.idle_exit=5
sse.commit_bytes=1000
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 10]);
var_dump(sse_publish('a', '1', mode: 'async'), sse_publish('a', '2', id: 'mine', mode: 'async'));
var_dump(preg_match('/^\d+-\d+$/', sse_publish('a', '3')));
var_dump(sse_publish('a', '4', mode: 'commit'), sse_publish('a', '5', id: 'held', mode: 'commit'));
ini_set('sse.publish', 'commit');
sse_publish('a', '6');
var_dump(preg_match('/^\d+-\d+$/', sse_publish('a', '7', mode: 'ack')), sse_stats()['published']);
foreach ($reader as $event) {
    echo $event->data, ' ';
    if ($event->data === '7') {
        break;
    }
}
echo "\n";
foreach ([fn () => sse_publish('a', 'x', mode: 'later'),
    fn () => sse_publish('a', 'x', mode: "\n" . str_repeat('m', 1 << 20)), fn () => sse_publish('a*', 'x'), fn () => sse_publish('a', "\xff"),
    fn () => sse_publish('a', 'x', '', mode: 'async'), fn () => sse_publish('a', str_repeat('x', 1000))] as $call) {
    try {
        $call();
        echo "accepted\n";
    } catch (SseException $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
ini_set('sse.publish', 'soon');
try {
    sse_publish('a', 'x');
} catch (SseException $e) {
    echo $e->getMessage(), "\n";
}
?>
--EXPECTF--
string(0) ""
string(4) "mine"
int(1)
string(0) ""
string(4) "held"
int(1)
int(4)
1 2 3 7 
SseInvalidArgument: sse_publish(): $mode must be 'ack', 'async' or 'commit', 'later' given
SseInvalidArgument: sse_publish(): $mode must be 'ack', 'async' or 'commit', '\nmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm…' given
SseInvalidArgument: topic 'a*' contains '*'; wildcards are for watching only, give a full topic
SseInvalidArgument: data is not valid UTF-8 (first bad byte at offset 0); event streams are text, encode binary data, for example with base64_encode()
SseInvalidArgument: event type must not be empty; leave it out instead
SseException: sse_publish(): this request holds back %d bytes in 3 events until its end, and %d more are over the 1000 that sse.commit_bytes allows; raise it, or publish with the mode 'ack'
sse.publish: 'soon' is not one of: ack, async, commit
