--TEST--
sse_finish() publishes the last event of a topic, and refuses what sse_publish() does; SseEnd has what it was given
--INI--
sse.namespace=finish
sse.udp=
sse.idle_exit=5
sse.max_event_size=100
--FILE--
<?php
function attempt(callable $call): void
{
    try {
        $call();
        echo "accepted\n";
    } catch (Throwable $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
$reader = new SseSubscription('job', ['timeout' => 10]);
sse_finish('job', ['all' => true], 'done');
sse_finish('job');
sse_publish('job', 'again');
foreach ($reader as $event) {
    echo $event->event ?? '-', ' ', $event->data, "\n";
    if ($event->data === 'again') {
        break;
    }
}
echo sse_stats()['finished']['topics'], " finished\n";
attempt(fn () => sse_finish('a.*'));
attempt(fn () => sse_finish(['a']));
attempt(fn () => sse_finish("a\xff"));
attempt(fn () => sse_finish('a', str_repeat('x', 101)));
attempt(fn () => sse_finish('a', 'x', "do\nne"));
attempt(fn () => sse_finish('a', 'x', []));
attempt(fn () => sse_finish('a', NAN));
$end = new SseEnd(['x'], 'done', 7);
var_dump($end->data, $end->event, $end->id, (new SseEnd())->data);
attempt(fn () => $end->data = 'y');
attempt(fn () => new SseEnd('x', "do\nne"));
attempt(fn () => new SseEnd('x', id: ''));
attempt(fn () => sse_stream('a', fn () => [new SseEnd('x'), 'y']));
?>
--EXPECT--
done {"all":true}
- 
- again
0 finished
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
TypeError: sse_finish(): Argument #1 ($topic) must be of type string, array given
SseInvalidArgument: sse_finish(): $topic must be valid UTF-8
SseInvalidArgument: data is 101 bytes long; sse.max_event_size allows 100; raise it, or publish where the client can fetch the rest
SseInvalidArgument: event type 'do\nne' contains a line break or NUL, which would end its line in the stream
TypeError: sse_finish(): Argument #3 ($event) must be of type ?string, array given
JsonException: Inf and NaN cannot be JSON encoded
array(1) {
  [0]=>
  string(1) "x"
}
string(4) "done"
string(1) "7"
NULL
Error: Cannot modify readonly property SseEnd::$data
SseInvalidArgument: event type 'do\nne' contains a line break or NUL, which would end its line in the stream
SseInvalidArgument: event id must not be empty; leave it out instead
SseInvalidArgument: sse_stream(): $render returned an array of SseEvents with string in it; return SseEvents only, or a generator
