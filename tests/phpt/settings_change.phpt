--TEST--
A setting that changes while a script runs counts from then on, and no longer once it is restored
--INI--
sse.namespace=settings_change
sse.udp=
sse.idle_exit=5
--FILE--
<?php
function published(): string
{
    try {
        return sse_publish('a', 'x') === '' ? 'async' : 'ack';
    } catch (SseException $e) {
        return $e->getMessage();
    }
}
echo published(), "\n";
foreach ([['sse.publish', 'async'], ['sse.publish', 'ack'], ['sse.timeout', '0'], ['sse.timeout', '2000'],
    ['sse.publish', 'soon']] as [$name, $value]) {
    ini_set($name, $value);
    echo "$name=$value: ", published(), "\n";
}
ini_restore('sse.publish');
echo 'restored: ', published(), "\n";
?>
--EXPECT--
ack
sse.publish=async: async
sse.publish=ack: ack
sse.timeout=0: sse.timeout: '0' is not a number from 1 to 600000
sse.timeout=2000: ack
sse.publish=soon: sse.publish: 'soon' is not one of: ack, async, commit
restored: ack
