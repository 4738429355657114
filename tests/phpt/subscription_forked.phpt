--TEST--
A forked child can't take its parent's events; one that it subscribes to by itself it gets
--SKIPIF--
<?php if (!function_exists('pcntl_fork')) die('skip this PHP has no pcntl'); ?>
--INI--
sse.namespace=subscription_forked
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$subscription = new SseSubscription('a', ['timeout' => 10]);
foreach (range(1, 3) as $number) {
    sse_publish('a', (string) $number);
}
$child = pcntl_fork();
if ($child === 0) {
    try {
        $subscription->next();
    } catch (SseException $exception) {
        echo get_class($exception), ': ', $exception->getMessage(), "\n";
    }
    $own = new SseSubscription('b', ['timeout' => 10]);
    sse_publish('b', 'of the child');
    $own->next();
    echo $own->current()->data, "\n";
    exit;
}
pcntl_waitpid($child, $status);
foreach ($subscription as $place => $event) {
    echo $event->data, "\n";
    if ($place === 2) {
        break;
    }
}
?>
--EXPECT--
SseException: SseSubscription: it was made by the process that has forked this one, which reads its events; make another after pcntl_fork()
of the child
1
2
3
