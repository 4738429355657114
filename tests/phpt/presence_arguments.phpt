--TEST--
sse_presence() and the options of presence refuse what breaks a rule
--INI--
sse.namespace=presence_arguments
sse.udp=
sse.idle_exit=5
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
class Leaves implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        throw new DomainException('thrown by the info');
    }
}
attempt(fn () => sse_presence('room'));
attempt(fn () => sse_presence('room', 'u', 1));
attempt(fn () => sse_presence_count('room'));
attempt(fn () => sse_presence(''));
attempt(fn () => sse_presence('room.*'));
attempt(fn () => sse_presence('$presence.room'));
attempt(fn () => sse_presence([]));
attempt(fn () => sse_presence('room', []));
attempt(fn () => sse_presence('room', null, 0));
attempt(fn () => sse_presence('room', limit: 1000001));
attempt(fn () => sse_presence_count('a b'));
attempt(fn () => sse_publish('$presence.room', 'x'));
attempt(fn () => sse_publish('$SYS', 'x'));
$stream = fn (array $options, $topics = 'room', $render = null) => fn () => sse_stream($topics, $render, $options);
attempt($stream(['presence' => 'u']));
attempt($stream(['presence' => []]));
attempt($stream(['presence' => ['id' => '']]));
attempt($stream(['presence' => ['id' => 1.5]]));
attempt($stream(['presence' => ['id' => "u\xff"]]));
attempt($stream(['presence' => ['id' => str_repeat('u', 256)]]));
attempt($stream(['presence' => ['id' => 'u', 'name' => 'U']]));
attempt($stream(['presence' => ['id' => 'u', 'info' => str_repeat('x', 4095)]]));
attempt($stream(['presence' => ['id' => 'u', 'info' => NAN]]));
attempt($stream(['presence' => ['id' => 'u', 'info' => new Leaves()]]));
attempt($stream(['presence' => ['id' => 'u']], str_repeat('t', 246)));
attempt($stream(['presence_events' => true], str_repeat('t', 246)));
attempt($stream(['presence_events' => 1]));
attempt($stream(['presence_events' => true], 'room', fn () => null));
?>
--EXPECT--
array(0) {
}
array(0) {
}
int(0)
SseInvalidArgument: sse_presence(): a topic must not be empty
SseInvalidArgument: sse_presence(): topic 'room.*' contains '*'; wildcards are for watching only, give a full topic
SseInvalidArgument: sse_presence(): topic '$presence.room' begins with '$'; such topics are the hub's own, nobody else publishes to them
TypeError: sse_presence(): Argument #1 ($topic) must be of type string, array given
TypeError: sse_presence(): Argument #2 ($after) must be of type ?string, array given
SseInvalidArgument: sse_presence(): $limit must be from 1 to 1000000, 0 given
SseInvalidArgument: sse_presence(): $limit must be from 1 to 1000000, 1000001 given
SseInvalidArgument: sse_presence_count(): topic 'a b' contains white space or a control character, which topics can't have
SseInvalidArgument: topic '$presence.room' begins with '$'; such topics are the hub's own, nobody else publishes to them
SseInvalidArgument: topic '$SYS' begins with '$'; such topics are the hub's own, nobody else publishes to them
SseInvalidArgument: sse_stream(): option 'presence' must be an array ['id' => …, 'info' => …], string given
SseInvalidArgument: sse_stream(): option 'presence' must have an 'id': an int, or a string of UTF-8 that is not empty
SseInvalidArgument: sse_stream(): option 'presence' must have an 'id': an int, or a string of UTF-8 that is not empty
SseInvalidArgument: sse_stream(): option 'presence' must have an 'id': an int, or a string of UTF-8 that is not empty
SseInvalidArgument: sse_stream(): option 'presence' must have an 'id': an int, or a string of UTF-8 that is not empty
SseInvalidArgument: sse_stream(): option 'presence': the id of a member is 256 bytes long; at most 255 are allowed
SseInvalidArgument: sse_stream(): option 'presence': unknown key 'name'; known are: id, info
SseInvalidArgument: sse_stream(): option 'presence': the info of a member is 4097 bytes of JSON long; at most 4096 are allowed
JsonException: Inf and NaN cannot be JSON encoded
DomainException: thrown by the info
SseInvalidArgument: sse_stream(): option 'presence': topic 'tttttttttttttttttttttttttttttttttttttttt…' is 246 bytes long; presence allows at most 245
SseInvalidArgument: sse_stream(): option 'presence': topic 'tttttttttttttttttttttttttttttttttttttttt…' is 246 bytes long; presence allows at most 245
SseInvalidArgument: sse_stream(): option 'presence_events' must be a bool, 1 given
SseInvalidArgument: sse_stream(): option 'presence_events' is for streams without a $render; with one, watch the topic '$presence.TOPIC' as well
