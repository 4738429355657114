--TEST--
sse.adopt: a signal ends a sleep as it always does, and its handler runs
--SKIPIF--
<?php if (!function_exists('pcntl_setitimer') && !function_exists('pcntl_alarm')) die('skip pcntl: pcntl_alarm() or pcntl_setitimer() is needed'); ?>
--INI--
sse.namespace=adopt_signals
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
header('Content-Type: text/event-stream');
flush();
pcntl_async_signals(true);
pcntl_signal(SIGALRM, function () { echo "a signal\n"; });
pcntl_alarm(1);
$left = sleep(60);
echo $left > 50 && $left < 60 ? 'some seconds are left' : "$left are left", "\n";
pcntl_alarm(1);
$left = time_nanosleep(60, 0);
echo implode(', ', array_keys($left)), $left['seconds'] > 50 && $left['nanoseconds'] >= 0 ? ' are left' : json_encode($left), "\n";
pcntl_alarm(1);
$before = time();
var_dump(usleep(60_000_000));
echo time() - $before < 50 ? 'shorter' : 'all of it', "\n";
?>
--EXPECT--
a signal
some seconds are left
a signal
seconds, nanoseconds are left
a signal
NULL
shorter
