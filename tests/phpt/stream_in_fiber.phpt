--TEST--
A callback can't leave the fiber that its stream was begun in; the script that goes on has its output
--INI--
sse.namespace=stream_in_fiber
sse.udp=
sse.idle_exit=5
sse.retry=0
--FILE--
<?php
ob_start();
$fiber = new Fiber(function (): void {
    try {
        sse_stream('a', function (array $events): string {
            Fiber::suspend('left');

            return 'not reached';
        });
    } catch (FiberError $error) {
        echo get_class($error), ': ', $error->getMessage(), "\n";
    }
    Fiber::suspend('outside of the callback');
    echo "resumed\n";
});
echo $fiber->start(), "\n";
echo "the script's own output\n";
$fiber->resume();
fwrite(STDOUT, ob_get_clean());

// Outside of fibers a callback may have its own.
sse_stream('a', function (array $events): string {
    static $runs = 0;
    $fiber = new Fiber(fn (): string => Fiber::suspend('from a fiber'));
    $text = $fiber->start();
    if ($runs++ > 0) {
        exit;
    }

    return $text;
}, ['poll' => 0.1]);
?>
--EXPECT--
FiberError: Cannot switch fibers in current execution context
outside of the callback
the script's own output
resumed
:

data: from a fiber
