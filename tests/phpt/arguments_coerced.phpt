--TEST--
Arguments are converted as PHP's own functions do, and what is not is a TypeError in PHP's words
--INI--
sse.namespace=arguments_coerced
sse.udp=
sse.idle_exit=5
--FILE--
<?php
class Text
{
    public function __construct(private string $text) {}
    public function __toString(): string { return $this->text; }
}
class Fails
{
    public function __toString(): string { throw new DomainException('thrown by __toString()'); }
}
function attempt(callable $call): void
{
    try {
        echo json_encode($call()), "\n";
    } catch (Throwable $e) {
        echo get_class($e), ': ', $e->getMessage(), $e->getPrevious() ? ' (and another)' : '', "\n";
    }
}
echo "converted:\n";
$reader = new SseSubscription([5, new Text('made')], ['timeout' => 10]);
attempt(fn () => sse_publish(5, 'int topic', id: 42));
attempt(fn () => sse_publish([new Text('made'), 7.5], 'Stringable', new Text('kind'), '43', '2500', new Text('ack')));
attempt(fn () => SseTrigger::push(5));
attempt(fn () => SseTrigger::push('elsewhere', new Text('made')));
foreach ($reader as $number => $event) {
    echo json_encode([$event->topic, $event->id, $event->event, $event->data]), "\n";
    if ($number === 3) {
        break;
    }
}
attempt(fn () => new SseEvent('x', new Text('kind'), 4.5));

echo "refused:\n";
attempt(fn () => sse_publish('a', 'x', id: []));
attempt(fn () => sse_publish('a', 'x', event: new stdClass()));
attempt(fn () => sse_publish('a', 'x', retry: 'soon'));
attempt(fn () => sse_publish('a', 'x', mode: [1]));
attempt(fn () => sse_publish([['a']], 'x'));
attempt(fn () => SseTrigger::push([]));
attempt(fn () => SseTrigger::push('a', null));
attempt(fn () => SseTrigger::push('no topic: *', []));
attempt(fn () => sse_stream(new stdClass()));

echo "thrown meanwhile:\n";
attempt(fn () => sse_publish(new Fails(), 'x'));
attempt(fn () => sse_publish('a', 'x', id: new Fails()));
attempt(fn () => SseTrigger::push(new Fails()));
attempt(fn () => sse_stream(new Fails()));
attempt(fn () => new SseSubscription(new Fails()));
attempt(fn () => new SseEvent('x', new Fails()));

echo "strict_types:\n";
attempt(eval('declare(strict_types=1); return fn () => sse_publish("a", "x", id: 42);'));
attempt(eval('declare(strict_types=1); return fn () => sse_publish(5, "x");'));
attempt(eval('declare(strict_types=1); return fn () => sse_publish("a", "x", retry: "5");'));
attempt(eval('declare(strict_types=1); return fn () => SseTrigger::push(5);'));
attempt(eval('declare(strict_types=1); return fn () => (new SseEvent("x", id: 42))->id;'));
?>
--EXPECT--
converted:
"42"
"43"
true
true
["5","42",null,"int topic"]
["made","43","kind","Stringable"]
["5","",null,null]
["made","",null,null]
{"id":"4.5","topic":"","event":"kind","data":"x","isTrigger":false,"traceparent":null}
refused:
TypeError: sse_publish(): Argument #4 ($id) must be of type ?string, array given
TypeError: sse_publish(): Argument #3 ($event) must be of type ?string, stdClass given
TypeError: sse_publish(): Argument #5 ($retry) must be of type ?int, string given
TypeError: sse_publish(): Argument #6 ($mode) must be of type ?string, array given
TypeError: sse_publish(): Argument #1 ($topics) must be an array of strings, array given
TypeError: SseTrigger::push(): Argument #1 must be of type string, array given
TypeError: SseTrigger::push(): Argument #2 must be of type string, null given
TypeError: SseTrigger::push(): Argument #2 must be of type string, array given
TypeError: sse_stream(): Argument #1 ($topics) must be of type array|string, stdClass given
thrown meanwhile:
DomainException: thrown by __toString()
DomainException: thrown by __toString()
DomainException: thrown by __toString()
DomainException: thrown by __toString()
DomainException: thrown by __toString()
DomainException: thrown by __toString()
strict_types:
TypeError: sse_publish(): Argument #4 ($id) must be of type ?string, int given
TypeError: sse_publish(): Argument #1 ($topics) must be of type array|string, int given
TypeError: sse_publish(): Argument #5 ($retry) must be of type ?int, string given
TypeError: SseTrigger::push(): Argument #1 must be of type string, int given
"42"
