--TEST--
Signal handlers run while a subscription waits, and may throw
--EXTENSIONS--
pcntl
posix
--INI--
sse.namespace=subscription_signals
sse.udp=
sse.idle_exit=5
--FILE--
<?php
pcntl_async_signals(true);
$handled = 0;
pcntl_signal(SIGALRM, function () use (&$handled) {
    if (++$handled === 2) {
        throw new RuntimeException('stop');
    }
    pcntl_alarm(1);
}, false);
$reader = new SseSubscription('a');
pcntl_alarm(1);
try {
    foreach ($reader as $event) {
        echo "no event was published\n";
    }
    echo "ended\n";
} catch (RuntimeException $e) {
    echo $e->getMessage(), ' after ', $handled, " signals\n";
}
// It can be taken up again.
sse_publish('a', 'x');
$reader->next();
echo $reader->current()->data, "\n";
?>
--EXPECT--
stop after 2 signals
x
