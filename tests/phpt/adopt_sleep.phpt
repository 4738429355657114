--TEST--
sse.adopt: in an event stream a sleep ends with a wake; its arguments and results are PHP's own
--INI--
sse.namespace=adopt_sleep
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
/** Whether what is done takes the time that it says. */
function timed(float $seconds, callable $sleep): void
{
    $before = hrtime(true);
    $result = json_encode($sleep());
    echo (hrtime(true) - $before) / 1e9 >= $seconds ? 'slept' : 'woken', ": $result\n";
}
/** A wake, and the time that it takes to come. */
function wake(): void
{
    static $other;
    $other ??= new SseSubscription('adopt.*', ['timeout' => 10]);
    SseTrigger::push('adopt.sleep');
    $other->next();
}

header('Content-Type: text/event-stream; charset=utf-8');
echo "data: x\n\n";
var_dump(ob_flush());
flush();
timed(1, fn () => sleep(1));
timed(0.3, fn () => usleep(300_000));
timed(0.3, fn () => time_nanosleep(0, 300_000_000));
timed(0.29, fn () => time_sleep_until(microtime(true) + 0.3));
foreach ([fn () => time_sleep_until(microtime(true) + 60), fn () => sleep(60), fn () => usleep(60_000_000), fn () => time_nanosleep(60, 1)] as $sleep) {
    wake();
    timed(60, $sleep);
}
wake();
timed(60, fn () => sleep(seconds: 60) ?: call_user_func('sleep', 0));
timed(0, fn () => sleep(0));
timed(0, fn () => @time_sleep_until(1));
foreach ([fn () => sleep(-1), fn () => sleep('x'), fn () => sleep(), fn () => usleep(-1), fn () => time_nanosleep(-1, 0),
    fn () => time_nanosleep(0, -1), fn () => time_nanosleep(0, 1_000_000_000), fn () => ob_flush(1), fn () => flush(1),
    fn () => time_sleep_until('x')] as $wrong) {
    try {
        $wrong();
    } catch (Error $error) {
        echo $error::class, ': ', $error->getMessage(), "\n";
    }
}
?>
--EXPECTF--
data: x


Notice: ob_flush(): Failed to flush buffer. No buffer to flush in %s on line %d
bool(false)
slept: 0
slept: null
slept: true
slept: true
woken: true
woken: 0
woken: null
woken: true
woken: 0
slept: 0
slept: false
ValueError: sleep(): Argument #1 ($seconds) must be %s
TypeError: sleep(): Argument #1 ($seconds) must be of type int, string given
ArgumentCountError: sleep() expects exactly 1 argument, 0 given
ValueError: usleep(): Argument #1 ($microseconds) must be %s
ValueError: time_nanosleep(): Argument #1 ($seconds) must be greater than or equal to 0
ValueError: time_nanosleep(): Argument #2 ($nanoseconds) must be greater than or equal to 0
ValueError: Nanoseconds was not in the range 0 to 999 999 999 or seconds was negative
ArgumentCountError: ob_flush() expects exactly 0 arguments, 1 given
ArgumentCountError: flush() expects exactly 0 arguments, 1 given
TypeError: time_sleep_until(): Argument #1 ($timestamp) must be of type float, string given
