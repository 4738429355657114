--TEST--
A callback can change the variables of its stream's topics and options, and not the stream
--INI--
sse.namespace=references_stream
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
$topic = str_repeat('a', 40);
$name = str_repeat('n', 40);
$share = str_repeat('s', 40);
$user = str_repeat('u', 40);
$options = ['event' => &$name, 'share' => &$share, 'user' => &$user];
$runs = 0;
$render = function (array $events) use (&$topic, &$name, &$share, &$user, &$options, &$render, &$runs, &$kept) {
    if ($runs++ > 0) {
        throw new DomainException('woken by ' . $events[0]->topic);
    }
    $topic = $name = $share = $user = $options = $render = null;
    for ($i = 0; $i < 16; $i++) {
        $kept[] = str_repeat('Z', 40);
    }
    sse_publish(str_repeat('Z', 40), 'not watched');
    sse_publish(str_repeat('a', 40), 'watched');
    return 'first';
};
try {
    sse_stream([&$topic], $render, $options);
} catch (DomainException $exception) {
    fwrite(STDOUT, $exception->getMessage() . "\n");
}
?>
--EXPECT--
:

event: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
data: first

woken by aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
