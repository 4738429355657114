--TEST--
Exceptions form a hierarchy, and have a place and a trace
--INI--
sse.namespace=exceptions
sse.udp=
sse.idle_exit=5
--FILE--
<?php
var_dump(is_subclass_of('SseInvalidArgument', 'SseException'), is_subclass_of('SseUnavailable', 'SseException'),
    is_subclass_of('SseException', 'RuntimeException'));
function caller(): void
{
    sse_publish('', 'x');
}
try {
    caller();
} catch (SseException $e) {
    echo get_class($e), ' ', basename($e->getFile()), ':', $e->getLine(), ' ', $e->getTrace()[1]['function'], "\n";
}
// A user can throw them too.
try {
    throw new SseUnavailable('mine', 7);
} catch (SseException $e) {
    echo $e->getMessage(), ' ', $e->getCode(), "\n";
}
?>
--EXPECT--
bool(true)
bool(true)
bool(true)
SseInvalidArgument exceptions.php:6 caller
mine 7
