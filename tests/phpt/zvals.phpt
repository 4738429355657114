--TEST--
No value and no array key of a script makes the extension fail in another way than by an exception
--INI--
sse.namespace=zvals
sse.udp=
sse.idle_exit=5
--FILE--
<?php
enum Suit: string { case Hearts = "h\xff"; }
class Text { public function __toString(): string { return "t\xff"; } }
$random = new class (20261129) {
    public function __construct(private int $state) {}
    public function below(int $end): int
    {
        $this->state = ($this->state * 1103515245 + 12345) & 0x7fffffff;
        return ($this->state >> 8) % $end;
    }
};
$names = ['user', 'headers', 'event', 'share', 'topics_as', 'poll', 'detach', 'last_event_id', 'timeout', 'heartbeat', "\xff", "a\0b", '', -7, 0];
$value = function (int $depth) use (&$value, $random, $names): mixed {
    $kind = $random->below($depth > 0 ? 16 : 13);
    if ($kind >= 13) {
        $array = [];
        for ($n = $random->below(4); $n > 0; $n--) {
            $array[$names[$random->below(count($names))]] = $value($depth - 1);
        }
        if ($kind === 15 && $array !== []) {
            $key = array_key_first($array);
            $reference = &$array[$key];
        }
        return $array;
    }
    return match ($kind) {
        0 => null,
        1 => true,
        2 => PHP_INT_MIN + $random->below(9),
        3 => -$random->below(3),
        4 => NAN,
        5 => 1e300,
        6 => "\xff\xfe",
        7 => "a\0\r\nb",
        8 => 'a.b',
        9 => Suit::Hearts,
        10 => new Text(),
        11 => fopen('php://memory', 'r'),
        12 => [new ArrayObject(["\xff" => 1]), fn () => ["\xff" => new SseEvent("\xff")]][$random->below(2)],
    };
};
$calls = [
    'sse_publish' => fn (mixed ...$a) => sse_publish(...$a),
    'sse_stream' => fn (mixed $topics, mixed $render, mixed $options) => sse_stream($topics, $render, is_array($options) || $options === null ? ($options ?? []) + ['max_lifetime' => -1] : $options),
    'push' => fn (mixed ...$a) => SseTrigger::push(...$a),
    'SseSubscription' => fn (mixed $topics, mixed $options) => new SseSubscription($topics, is_array($options) ? $options : []),
    'SseEvent' => fn (mixed ...$a) => new SseEvent(...array_slice($a, 0, 3)),
    'SseReceipt' => fn (mixed ...$a) => new SseReceipt(...array_slice($a, 0, 3)),
];
$allowed = [SseInvalidArgument::class, TypeError::class, JsonException::class, ArgumentCountError::class];
$ran = 0;
for ($round = 0; $round < 400; $round++) {
    foreach ($calls as $name => $call) {
        $arguments = [];
        for ($n = 0; $n < 3; $n++) {
            $arguments[] = $value(2);
        }
        try {
            @$call(...$arguments);
        } catch (Throwable $e) {
            if (!in_array(get_class($e), $allowed, true)) {
                echo "$name: ", get_class($e), ': ', $e->getMessage(), "\n", json_encode($arguments, JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
            }
        }
        $ran++;
    }
}
echo "$ran calls\n";

function attempt(callable $call): void
{
    try {
        $call();
        echo "accepted\n";
    } catch (Throwable $e) {
        echo get_class($e), ': ', $e->getMessage(), "\n";
    }
}
// As from a query: ?topics[%ff]=news
attempt(fn () => sse_publish(["\xff" => 'news'], 'x'));
attempt(fn () => new SseSubscription(["\xff" => 'news']));
attempt(fn () => sse_stream('a', null, ["\xff" => 1]));
attempt(fn () => sse_stream('a', null, ['headers' => ["\xff" => 'x']]));
attempt(fn () => sse_stream('a', fn () => ["\xff" => NAN]));
attempt(fn () => sse_publish('a', 'x', "\xff"));
attempt(fn () => sse_publish('a', 'x', id: "\xff"));
attempt(fn () => sse_publish('a', 'x', mode: "\xff"));
attempt(fn () => new SseEvent('x', "\xff"));
var_dump(SseTrigger::push("\xff"));
?>
--EXPECTF--
2400 calls
SseInvalidArgument: sse_publish(): $topics must be a list, an array with the key '�' given; the topics come first, then the data
accepted
SseInvalidArgument: sse_stream(): unknown option '�'; known are: heartbeat, retry, max_lifetime, user, max_per_user, over_limit, presence, presence_events, detach, headers, reauthorize, last_event_id, last_event_id_header, stream_id, topics_as, retained, spread, event, initial, only_changes, poll, share
SseInvalidArgument: sse_stream(): option 'headers': '�' is not a header name with a one-line string value
JsonException: %s
SseInvalidArgument: sse_publish(): $event must be valid UTF-8
SseInvalidArgument: sse_publish(): $id must be valid UTF-8
SseInvalidArgument: sse_publish(): $mode must be valid UTF-8
SseInvalidArgument: SseEvent::__construct(): $event must be valid UTF-8
bool(false)
