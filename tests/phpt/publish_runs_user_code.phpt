--TEST--
User code that runs while an event is encoded may throw or exit
--INI--
sse.namespace=publish_runs_user_code
sse.udp=
sse.idle_exit=5
--FILE--
<?php
class Throwing implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        throw new DomainException('not today');
    }
}
class Leaving implements JsonSerializable
{
    public function jsonSerialize(): mixed
    {
        exit("left\n");
    }
}
try {
    sse_publish('a', new Throwing());
} catch (DomainException $e) {
    echo get_class($e), ': ', $e->getMessage(), "\n";
}
register_shutdown_function(function () {
    echo sse_stats()['published'], " published\n";
});
sse_publish('a', new Leaving());
echo "not reached\n";
?>
--EXPECT--
DomainException: not today
left
0 published
