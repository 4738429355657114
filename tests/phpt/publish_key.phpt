--TEST--
A second publication with a key publishes nothing and returns the first one's id
--INI--
sse.namespace=publish_key
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$reader = new SseSubscription('a', ['timeout' => 10]);
$first = sse_publish('a', '1', key: 'paid');
var_dump(sse_publish('a', '2', key: 'paid') === $first, sse_publish(['a', 'b'], '3', 'type', key: 'paid') === $first);
var_dump(sse_publish('a', '4', id: 'own', key: 'other'), sse_publish('a', '5', key: 'other'), sse_publish('a', '6', key: '42'));
var_dump(sse_publish('a', '7', mode: 'async', key: '42'), sse_publish('a', '8', key: null) > $first);
foreach ($reader as $event) {
    echo $event->data, ' ';
    if ($event->data === '8') {
        break;
    }
}
echo "\n", json_encode(sse_stats()['keys']['repeated']), "\n";
?>
--EXPECTF--
bool(true)
bool(true)
string(3) "own"
string(3) "own"
string(%d) "%d-%d"
string(0) ""
bool(true)
1 4 6 8 
4
