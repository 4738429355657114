--TEST--
The last value of a topic is kept until the next one, and removed by one without data
--INI--
sse.namespace=retained
sse.udp=
sse.idle_exit=5
--FILE--
<?php
var_dump(sse_retained('s.a'));
$id = sse_publish(['s.b', 's.a'], ['celsius' => 21.5], 'reading', retain: true);
sse_publish('s.a', 'not retained', retain: false);
$last = sse_retained('s.a');
var_dump($last instanceof SseEvent, $last->id === $id, $last->topic, $last->event, $last->data, $last->isTrigger);
sse_publish('s.b', '0', retain: 1);
var_dump(sse_retained('s.b')->data, sse_retained('s.a')->data);
sse_publish('s.a', null, retain: true);
sse_publish('s.b', '', retain: true);
var_dump(sse_retained('s.a'), sse_retained('s.b'), sse_stats()['retained']['topics']);
?>
--EXPECT--
NULL
bool(true)
bool(true)
string(3) "s.a"
string(7) "reading"
string(16) "{"celsius":21.5}"
bool(false)
string(1) "0"
string(16) "{"celsius":21.5}"
NULL
NULL
int(0)
