--TEST--
sse.adopt: a forked child sleeps as long as it says, and leaves its parent's wakes alone
--SKIPIF--
<?php if (!function_exists('pcntl_fork')) die('skip this PHP has no pcntl'); ?>
--INI--
sse.namespace=adopt_forked
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
header('Content-Type: text/event-stream');
$other = new SseSubscription('adopt.forked', ['timeout' => 10]);
echo "data: parent\n\n";
flush();
usleep(1);
SseTrigger::push('adopt.forked');
$other->next();
$child = pcntl_fork();
if ($child === 0) {
    $before = hrtime(true);
    usleep(200_000);
    echo hrtime(true) - $before >= 200_000_000 ? 'slept' : 'woken', "\n";
    exit;
}
pcntl_waitpid($child, $status);
usleep(3_600_000_000);
echo "woken\n";
?>
--EXPECT--
data: parent

slept
woken
