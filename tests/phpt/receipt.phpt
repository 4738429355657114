--TEST--
sse_publish(report: true) returns an SseReceipt, which can't be changed
--INI--
sse.namespace=receipt
sse.udp=
sse.idle_exit=5
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
$reader = new SseSubscription('a', ['timeout' => 10]);
$receipt = sse_publish('a', 'x', id: 'own', report: true);
var_dump(get_object_vars($receipt));
var_dump(is_string(sse_publish('a', 'x', report: false)));
$first = sse_publish('a', 'x', key: 'k', report: true);
$again = sse_publish('a', 'x', key: 'k', report: true);
var_dump($first->duplicate, $again->duplicate, $again->id === $first->id, $again->watchers);
echo (new ReflectionFunction('sse_publish'))->getReturnType(), "\n";
attempt(fn () => sse_publish('a', 'x', mode: 'async', report: true));
attempt(fn () => sse_publish('a', 'x', mode: 'commit', report: true));
ini_set('sse.publish', 'commit');
attempt(fn () => sse_publish('a', 'x', report: true));
attempt(fn () => sse_publish('a', 'x', mode: 'ack', report: true));
attempt(fn () => sse_publish('a.*', 'x', mode: 'ack', report: true));
attempt(fn () => sse_publish('a', 'x', report: []));
$made = new SseReceipt(id: '7', watchers: 3);
var_dump($made->id, $made->watchers, $made->duplicate, get_object_vars(new SseReceipt('', duplicate: true)));
attempt(fn () => $made->id = 'y');
attempt(fn () => new SseReceipt());
attempt(fn () => new SseReceipt('a', -1));
attempt(fn () => new SseReceipt('a', 'many'));
attempt(fn () => serialize($made));
?>
--EXPECT--
array(3) {
  ["id"]=>
  string(3) "own"
  ["watchers"]=>
  int(0)
  ["duplicate"]=>
  bool(false)
}
bool(true)
bool(false)
bool(true)
bool(true)
int(0)
SseReceipt|string
SseInvalidArgument: sse_publish(): with $report the call waits for the hub, and the mode is 'async'; pass mode: 'ack' as well
SseInvalidArgument: sse_publish(): with $report the call waits for the hub, and the mode is 'commit'; pass mode: 'ack' as well
SseInvalidArgument: sse_publish(): with $report the call waits for the hub, and the mode is 'commit'; pass mode: 'ack' as well
accepted
SseInvalidArgument: topic 'a.*' contains '*'; wildcards are for watching only, give a full topic
TypeError: sse_publish(): Argument #12 ($report) must be of type bool, array given
string(1) "7"
int(3)
bool(false)
array(3) {
  ["id"]=>
  string(0) ""
  ["watchers"]=>
  NULL
  ["duplicate"]=>
  bool(true)
}
Error: Cannot modify readonly property SseReceipt::$id
ArgumentCountError: SseReceipt::__construct() expects at least 1 argument, 0 given
SseInvalidArgument: SseReceipt::__construct(): $watchers must not be negative, -1 given
TypeError: SseReceipt::__construct(): Argument #2 ($watchers) must be of type ?int, string given
Exception: Serialization of 'SseReceipt' is not allowed
