--TEST--
sse_disconnect(), sse_retopic(), sse_watchers(), sse_streams() and $except of sse_publish() check their arguments, and name no stream where there is none
--INI--
sse.namespace=steering
sse.udp=
sse.idle_exit=5
sse.max_topics=2
--FILE--
<?php
function attempt(callable $call): void
{
    try {
        var_dump($call());
    } catch (Throwable $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
attempt(fn () => sse_retopic('x', ['a']));
attempt(fn () => sse_disconnect(user: 'alice'));
attempt(fn () => sse_disconnect(stream: 'x', retry: 0));
attempt(fn () => sse_disconnect(stream: ''));
attempt(fn () => sse_disconnect(topic: 'a'));
attempt(fn () => sse_retopic('x', ['a'], ['b'], 'alice'));
attempt(fn () => sse_disconnect());
attempt(fn () => sse_disconnect('alice', topic: 'a'));
attempt(fn () => sse_disconnect(''));
attempt(fn () => sse_disconnect(str_repeat('k', 256)));
attempt(fn () => sse_disconnect(topic: 'a.*'));
attempt(fn () => sse_disconnect('alice', retry: -1));
attempt(fn () => sse_disconnect('alice', retry: 86400001));
attempt(fn () => sse_disconnect([]));
attempt(fn () => sse_retopic('x', ['a', 'b', 'c']));
attempt(fn () => sse_retopic('x', remove: ['a*']));
attempt(fn () => sse_retopic('x', [[]]));
attempt(fn () => sse_retopic('x', 'a'));
attempt(fn () => sse_retopic('x', user: ''));
attempt(fn () => sse_retopic([]));
attempt(fn () => sse_watchers('a'));
attempt(fn () => sse_watchers('a', true));
attempt(fn () => sse_watchers('a.*'));
attempt(fn () => sse_watchers([]));
attempt(fn () => sse_watchers('a', []));
attempt(fn () => sse_streams());
attempt(fn () => sse_streams('a.*'));
attempt(fn () => sse_streams(user: ''));
attempt(fn () => sse_streams('a', 'b'));
attempt(fn () => sse_streams(stream: 'forged'));
attempt(fn () => sse_streams(after: 'forged'));
attempt(fn () => sse_streams(limit: 0));
attempt(fn () => sse_streams([]));
attempt(function () {
    $subscriptions = [new SseSubscription(['b', 'a.*']), new SseSubscription('b')];
    $all = sse_streams();
    $ids = array_keys($all);
    var_dump(count($ids), array_keys(sse_streams('b', limit: 1)) === [$ids[0]]);
    var_dump(array_keys(sse_streams(after: $ids[0])) === [$ids[1]], sse_streams(after: $ids[1]));
    var_dump(array_keys(sse_streams('a.x')) === [$ids[0]], abs($all[$ids[0]]['since'] - time()) <= 2);
    unset($all[$ids[0]]['since']);
    echo json_encode($all[$ids[0]]), "\n";
    return array_keys(sse_streams(stream: $ids[1])) === [$ids[1]];
});
// Last: the hub may not know yet that such a stream has ended.
attempt(function () {
    $subscription = new SseSubscription('a');
    return sse_watchers('a');
});
attempt(fn () => sse_publish('a', 'x', id: 'own', except: "any\ntext"));
attempt(fn () => sse_publish('a', 'x', except: []));
?>
--EXPECT--
NULL
int(0)
int(0)
int(0)
NULL
NULL
SseInvalidArgument: sse_disconnect(): exactly one of $user, $stream and $topic must be given, 0 are; to end all streams of a list, call it for each
SseInvalidArgument: sse_disconnect(): exactly one of $user, $stream and $topic must be given, 2 are; to end all streams of a list, call it for each
SseInvalidArgument: sse_disconnect(): $user must be 1 to 255 bytes long, 0 given; it is the option 'user' of sse_stream()
SseInvalidArgument: sse_disconnect(): $user must be 1 to 255 bytes long, 256 given; it is the option 'user' of sse_stream()
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
SseInvalidArgument: sse_disconnect(): $retry must be from 0 to 86400000 milliseconds, -1 given
SseInvalidArgument: sse_disconnect(): $retry must be from 0 to 86400000 milliseconds, 86400001 given
TypeError: sse_disconnect(): Argument #1 ($user) must be of type ?string, array given
SseInvalidArgument: sse_retopic(): 3 topics given as $add; sse.max_topics allows 2
SseInvalidArgument: pattern 'a*': '*' must be a whole segment, as in 'orders.*.status'
TypeError: sse_retopic(): Argument #2 ($add) must be an array of strings, array given
TypeError: sse_retopic(): Argument #2 ($add) must be of type array, string given
SseInvalidArgument: sse_retopic(): $user must be 1 to 255 bytes long, 0 given; it is the option 'user' of sse_stream()
TypeError: sse_retopic(): Argument #1 ($stream) must be of type string, array given
int(0)
int(0)
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
TypeError: sse_watchers(): Argument #1 ($topic) must be of type string, array given
TypeError: sse_watchers(): Argument #2 ($local) must be of type bool, array given
array(0) {
}
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
SseInvalidArgument: sse_streams(): $user must be 1 to 255 bytes long, 0 given; it is the option 'user' of sse_stream()
SseInvalidArgument: sse_streams(): at most one of $topic, $user and $stream may be given
array(0) {
}
SseInvalidArgument: after must be an id that this hub has given a stream; begin the list anew
SseInvalidArgument: sse_streams(): $limit must be from 1 to 1000000, 0 given
TypeError: sse_streams(): Argument #1 ($topic) must be of type ?string, array given
int(2)
bool(true)
bool(true)
array(0) {
}
bool(true)
bool(true)
{"topics":["a.*","b"],"topic_count":2,"user":null,"address":null,"bytes":0,"queue":0,"callback":false,"framing":"php"}
bool(true)
int(0)
string(3) "own"
TypeError: sse_publish(): Argument #9 ($except) must be of type ?string, array given
