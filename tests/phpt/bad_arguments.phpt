--TEST--
Bad arguments are refused at once, by messages that name the value and the rule
--INI--
sse.namespace=bad_arguments
sse.udp=
sse.idle_exit=5
sse.max_event_size=100
sse.max_topics=3
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
attempt(fn () => sse_publish('', 'x'));
attempt(fn () => sse_publish([], 'x'));
attempt(fn () => sse_publish(new ArrayObject(['a']), 'x'));
attempt(fn () => sse_publish([['a']], 'x'));
attempt(fn () => sse_publish(['title' => 'x'], 'news'));
attempt(fn () => sse_publish("a\xff", 'x'));
attempt(fn () => sse_publish(['a', "a\xff"], 'x'));
attempt(fn () => sse_publish(['a', 'b', 'c', 'd'], 'x'));
attempt(fn () => sse_publish('a.*', 'x'));
attempt(fn () => sse_publish('a..b', 'x'));
attempt(fn () => sse_publish("a\nb", 'x'));
attempt(fn () => sse_publish('a', "bin\xff"));
attempt(fn () => sse_publish('a', str_repeat('x', 101)));
attempt(fn () => sse_publish('a', 'x', "na\nme"));
attempt(fn () => sse_publish('a', 'x', ''));
attempt(fn () => sse_publish('a', 'x', null, "i\0d"));
attempt(fn () => sse_publish('a', 'x', null, str_repeat('i', 256)));
attempt(fn () => sse_publish('a', 'x', retry: -1));
attempt(fn () => sse_publish('a', NAN));
attempt(fn () => sse_publish('a', 'x', key: ''));
attempt(fn () => sse_publish('a', 'x', key: str_repeat('k', 256)));
attempt(fn () => sse_publish('a', 'x', key: []));
attempt(fn () => sse_publish('a', 'x', key: "k\xff"));
attempt(fn () => sse_publish('a', 'x', retain: []));
attempt(fn () => sse_publish('a', 'x', latest: []));
attempt(fn () => sse_publish('a', 'x', spread: -1));
attempt(fn () => sse_publish('a', 'x', spread: 60001));
attempt(fn () => sse_publish('a', 'x', spread: 'x'));
attempt(fn () => sse_retained('a.*'));
attempt(fn () => sse_retained([]));
attempt(fn () => sse_stream('a', fn () => 1, ['retained' => true]));
attempt(fn () => sse_stream('a', options: ['retained' => 1]));
attempt(fn () => sse_stream('a', options: ['spread' => 60001]));
attempt(fn () => sse_stream('a', fn () => 1, ['spread' => 1]));
attempt(fn () => sse_stream('a*'));
attempt(fn () => sse_stream('**.a'));
attempt(fn () => sse_stream(str_repeat('a.', 16) . '*'));
attempt(fn () => sse_stream(['a', 'b', 'c', 'd']));
attempt(fn () => sse_stream('a', 'no_such_function'));
attempt(fn () => sse_stream('a', ['heartbeat' => 5]));
attempt(fn () => sse_stream('a', options: ['headers' => ['X-A: b']]));
attempt(fn () => sse_stream('a', options: ['heartbeat' => -1]));
attempt(fn () => sse_stream('a', options: ['heartbeat' => '5']));
attempt(fn () => sse_stream('a', options: ['hartbeat' => 5]));
attempt(fn () => sse_stream('a', options: ['detach' => 'no']));
attempt(fn () => sse_stream('a', options: ['headers' => ["X-A\r\nSet-Cookie" => 'x']]));
attempt(fn () => sse_stream('a', options: ['headers' => ['X-A' => "x\r\nSet-Cookie: y"]]));
attempt(fn () => sse_stream('a', options: ['headers' => ['content-type' => 'text/plain']]));
attempt(fn () => sse_stream('a', options: ['headers' => ['x-accel-redirect' => '/a']]));
attempt(fn () => sse_stream('a', options: ['reauthorize' => 1.5]));
attempt(fn () => sse_stream('a', options: ['max_lifetime' => -1]));
attempt(fn () => sse_stream('a', options: ['user' => 42]));
attempt(fn () => sse_stream('a', options: ['stream_id' => 'x']));
attempt(fn () => sse_stream('a', options: ['user' => str_repeat('k', 256)]));
attempt(fn () => sse_stream('a', options: ['user' => 'alice', 'max_per_user' => 1.5]));
attempt(fn () => sse_stream('a', options: ['max_per_user' => 3]));
attempt(fn () => sse_stream('a', options: ['over_limit' => 'replace']));
attempt(fn () => sse_stream('a', options: ['user' => 'alice', 'over_limit' => 'newest']));
attempt(fn () => sse_stream('a', options: ['poll' => 1]));
attempt(fn () => sse_stream('a', options: ['topics_as' => 'fields']));
attempt(fn () => sse_stream('a', options: ['topics_as' => 5]));
attempt(fn () => sse_stream('a', fn () => 1, ['topics_as' => 'field']));
attempt(fn () => sse_stream('a', fn () => 1, ['poll' => 0.01]));
attempt(fn () => sse_stream('a', fn () => 1, ['poll' => '1']));
attempt(fn () => sse_stream('a', fn () => 1, ['share' => '']));
attempt(fn () => sse_stream('a', fn () => 1, ['share' => str_repeat('k', 256)]));
attempt(fn () => sse_stream('a', fn () => 1, ['event' => "a\nb"]));
attempt(fn () => sse_stream('a', fn () => 1, ['initial' => 1]));
attempt(fn () => sse_stream('a', fn () => 1, ['only_changes' => 'yes']));
attempt(fn () => sse_stream('a', fn () => "bin\xff"));
attempt(fn () => sse_stream('a', fn () => str_repeat('x', 101)));
attempt(fn () => sse_stream('a', fn () => NAN));
attempt(fn () => sse_stream('a', fn () => throw new DomainException('thrown by the callback')));
attempt(fn () => sse_stream('a', fn () => sse_stream('a')));
attempt(fn () => sse_stream('a', fn () => [new SseEvent('x'), 'y']));
attempt(fn () => sse_stream('a', function () { while (true) { yield 'row'; } }));
attempt(fn () => sse_stream('a', function () { yield 'row'; throw new DomainException('thrown by the generator'); }));
attempt(fn () => new SseEvent('x', id: 42));
attempt(fn () => new SseEvent('x', id: "a\nb"));
attempt(fn () => new SseEvent('x', ''));
attempt(fn () => new SseEvent('x', []));
attempt(fn () => new SseSubscription('a', ['timeout' => 'soon']));
attempt(fn () => new SseSubscription(null));
?>
--EXPECT--
SseInvalidArgument: a topic must not be empty
SseInvalidArgument: sse_publish(): no topic given; name at least one
TypeError: sse_publish(): Argument #1 ($topics) must be of type array|string, ArrayObject given
TypeError: sse_publish(): Argument #1 ($topics) must be an array of strings, array given
SseInvalidArgument: sse_publish(): $topics must be a list, an array with the key 'title' given; the topics come first, then the data
SseInvalidArgument: sse_publish(): a topic must be valid UTF-8
SseInvalidArgument: sse_publish(): a topic must be valid UTF-8
SseInvalidArgument: 4 topics given; sse.max_topics allows 3 for one event
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
SseInvalidArgument: topic 'a..b' has an empty segment; write names joined by single dots, such as 'chat.general'
SseInvalidArgument: topic 'a\nb' contains white space or a control character, which topics can't have
SseInvalidArgument: data is not valid UTF-8 (first bad byte at offset 3); event streams are text, encode binary data, for example with base64_encode()
SseInvalidArgument: data is 101 bytes long; sse.max_event_size allows 100; raise it, or publish where the client can fetch the rest
SseInvalidArgument: event type 'na\nme' contains a line break or NUL, which would end its line in the stream
SseInvalidArgument: event type must not be empty; leave it out instead
SseInvalidArgument: event id 'i\u{0}d' contains a line break or NUL, which would end its line in the stream
SseInvalidArgument: event id is 256 bytes long; at most 255 are allowed
SseInvalidArgument: sse_publish(): $retry must be from 0 to 86400000 milliseconds, -1 given
JsonException: Inf and NaN cannot be JSON encoded
SseInvalidArgument: the key must have 1 to 255 bytes, 0 given; leave it out to publish each time
SseInvalidArgument: the key must have 1 to 255 bytes, 256 given; leave it out to publish each time
TypeError: sse_publish(): Argument #7 ($key) must be of type ?string, array given
SseInvalidArgument: sse_publish(): $key must be valid UTF-8
TypeError: sse_publish(): Argument #8 ($retain) must be of type bool, array given
TypeError: sse_publish(): Argument #10 ($latest) must be of type bool, array given
SseInvalidArgument: sse_publish(): $spread must be from 0 to 60000 milliseconds, -1 given
SseInvalidArgument: sse_publish(): $spread must be from 0 to 60000 milliseconds, 60001 given
TypeError: sse_publish(): Argument #11 ($spread) must be of type int, string given
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
TypeError: sse_retained(): Argument #1 ($topic) must be of type string, array given
SseInvalidArgument: sse_stream(): option 'retained' is for streams without a $render, which can ask sse_retained() itself
SseInvalidArgument: sse_stream(): option 'retained' must be a bool, 1 given
SseInvalidArgument: sse_stream(): option 'spread' must be an int from 0 to 60000 (milliseconds, 0 for at once), 60001 given
SseInvalidArgument: sse_stream(): option 'spread' is for streams without a $render, which runs when there is room for it
SseInvalidArgument: pattern 'a*': '*' must be a whole segment, as in 'orders.*.status'
SseInvalidArgument: pattern '**.a': '**' may only be the last segment, as in 'orders.**'
SseInvalidArgument: pattern 'a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.*' has 17 segments; at most 16 are allowed where there is a wildcard
SseInvalidArgument: sse_stream(): 4 topics given; sse.max_topics allows 3
TypeError: sse_stream(): Argument #2 ($render) must be of type ?callable, string given; options are the third argument, or named: options: [...]
TypeError: sse_stream(): Argument #2 ($render) must be of type ?callable, array given; options are the third argument, or named: options: [...]
SseInvalidArgument: sse_stream(): option 'headers' must be an array of name => value, such as ['X-A' => 'b']; a list was given
SseInvalidArgument: sse_stream(): option 'heartbeat' must be an int from 0 to 86400 (seconds, 0 for none), -1 given
SseInvalidArgument: sse_stream(): option 'heartbeat' must be an int from 0 to 86400 (seconds, 0 for none), string given
SseInvalidArgument: sse_stream(): unknown option 'hartbeat'; known are: heartbeat, retry, max_lifetime, user, max_per_user, over_limit, presence, presence_events, detach, headers, reauthorize, last_event_id, last_event_id_header, stream_id, topics_as, retained, spread, event, initial, only_changes, poll, share
SseInvalidArgument: sse_stream(): option 'detach' must be a bool, string given
SseInvalidArgument: sse_stream(): option 'headers': 'X-A\r\nSet-Cookie' is not a header name with a one-line string value
SseInvalidArgument: sse_stream(): option 'headers': 'X-A' is not a header name with a one-line string value
SseInvalidArgument: sse_stream(): option 'headers': 'content-type' of an event stream can't be chosen
SseInvalidArgument: sse_stream(): option 'headers': 'x-accel-redirect' of an event stream can't be chosen
SseInvalidArgument: sse_stream(): option 'reauthorize' must be an int from 0 to 86400 (seconds, 0 for never), float given
SseInvalidArgument: sse_stream(): option 'max_lifetime' must be an int from 0 to 31536000 (seconds, 0 for no end), -1 given
SseInvalidArgument: sse_stream(): option 'user' must be a string of UTF-8 that is not empty, 42 given
SseInvalidArgument: sse_stream(): option 'stream_id' must be a bool, string given
SseInvalidArgument: sse_stream(): option 'user' must be at most 255 bytes long, 256 given; a hash of the key will do
SseInvalidArgument: sse_stream(): option 'max_per_user' must be an int from 0 to 10000000 (streams, 0 for any number), float given
SseInvalidArgument: sse_stream(): option 'max_per_user' needs the option 'user': whose streams?
SseInvalidArgument: sse_stream(): option 'over_limit' needs the option 'user': whose streams?
SseInvalidArgument: sse_stream(): option 'over_limit' must be 'refuse' or 'replace', or null for neither, 'newest' given
SseInvalidArgument: sse_stream(): option 'poll' is for streams with a $render, and there is none
SseInvalidArgument: sse_stream(): option 'topics_as' must be 'field' or 'envelope', or null for neither, 'fields' given
SseInvalidArgument: sse_stream(): option 'topics_as' must be 'field' or 'envelope', or null for neither, 5 given
SseInvalidArgument: sse_stream(): option 'topics_as' is for streams without a $render: what that returns has no topic
SseInvalidArgument: sse_stream(): option 'poll' must be from 0.1 to 86400 seconds, 0.01 given; null for none
SseInvalidArgument: sse_stream(): option 'poll' must be a number of seconds from 0, string given
SseInvalidArgument: sse_stream(): option 'share' must be a string of UTF-8 that is not empty, string given
SseInvalidArgument: sse_stream(): option 'share' must be at most 255 bytes long, 256 given; a hash of the key will do
SseInvalidArgument: event type 'a\nb' contains a line break or NUL, which would end its line in the stream
SseInvalidArgument: sse_stream(): option 'initial' must be a bool, 1 given
SseInvalidArgument: sse_stream(): option 'only_changes' must be a bool, string given
SseInvalidArgument: sse_stream(): what $render returned: data is not valid UTF-8 (first bad byte at offset 3); event streams are text, encode binary data, for example with base64_encode()
SseInvalidArgument: sse_stream(): what $render returned: 109 bytes of events; sse.max_event_size allows 100 for one render; raise it, or send where the client can fetch the rest
JsonException: Inf and NaN cannot be JSON encoded
DomainException: thrown by the callback
SseException: sse_stream() can't be called by its own $render
SseInvalidArgument: sse_stream(): $render returned an array of SseEvents with string in it; return SseEvents only, or a generator
SseInvalidArgument: sse_stream(): what $render returned: 110 bytes of events; sse.max_event_size allows 100 for one render; raise it, or send where the client can fetch the rest
DomainException: thrown by the generator
accepted
SseInvalidArgument: event id 'a\nb' contains a line break or NUL, which would end its line in the stream
SseInvalidArgument: event type must not be empty; leave it out instead
TypeError: SseEvent::__construct(): Argument #2 ($event) must be of type ?string, array given
SseInvalidArgument: SseSubscription: option 'timeout' must be a number of seconds from 0, string given
TypeError: SseSubscription: Argument #1 ($topics) must be of type array|string, null given
