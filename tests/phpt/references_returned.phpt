--TEST--
What a callback has returned stays the same while user code encodes it
--INI--
sse.namespace=references_returned
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
// Changes the variable that the callback has returned by reference, and fills its memory with something else.
class Changing implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        global $returned, $second, $kept;
        for ($i = 0; $i < 5000; $i++) {
            $returned["k$i"] = str_repeat('Z', 30);
        }
        $returned = ['gone'];
        $second = null;
        for ($i = 0; $i < 16; $i++) {
            $kept[] = new SseEvent(str_repeat('Z', 40));
        }
        return 'first';
    }

    public function __destruct()
    {
        global $returned;
        $returned = null;
    }
}
$second = new SseEvent('second', str_repeat('n', 40));
$returned = [new SseEvent(new Changing()), &$second, new SseEvent('third')];
$runs = 0;
function &render(array $events)
{
    global $returned, $runs;
    if ($runs++ > 0) {
        throw new DomainException('the end');
    }
    return $returned;
}
try {
    sse_stream('a', 'render', ['poll' => 0.1]);
} catch (DomainException $exception) {
    fwrite(STDOUT, $exception->getMessage() . "\n");
}
?>
--EXPECT--
:

data: "first"

event: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
data: second

data: third

the end
