--TEST--
What a generator yields by reference may be gone as soon as it goes on, and its rows have destructors
--INI--
sse.namespace=references_generated
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
class Row implements JsonSerializable
{
    public function __construct(private string $text)
    {
    }

    public function jsonSerialize(): mixed
    {
        global $row, $generator, $kept;
        $row = $generator = null;
        for ($i = 0; $i < 16; $i++) {
            $kept[] = str_repeat('Z', 40);
        }
        return $this->text;
    }

    public function __destruct()
    {
        global $row, $destroyed;
        $row = null;
        $destroyed++;
    }
}
function &rows(): Generator
{
    global $row;
    foreach (['first', 'second'] as $text) {
        $row = new SseEvent(new Row($text), str_repeat('n', 40), str_repeat('7', 40));
        yield $row;
    }
    $row = new Row('third');
    yield $row;
}
$runs = 0;
function &render(array $events)
{
    global $generator, $destroyed, $runs;
    if ($runs++ > 0) {
        throw new DomainException("$destroyed destroyed");
    }
    $generator = rows();
    return $generator;
}
try {
    sse_stream('a', 'render', ['poll' => 0.1]);
} catch (DomainException $exception) {
    fwrite(STDOUT, $exception->getMessage() . "\n");
}
?>
--EXPECT--
:

id: 7777777777777777777777777777777777777777
event: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
data: "first"

id: 7777777777777777777777777777777777777777
event: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
data: "second"

data: "third"

3 destroyed
