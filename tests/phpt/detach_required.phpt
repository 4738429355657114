--TEST--
On the command line sse.detach=require is auto: there is no client to refuse, and no worker to free; another word is named
--INI--
sse.namespace=detach_required
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
foreach (['require', 'never'] as $word) {
    $command = [$php, '-n', '-d', "extension=$extension", '-d', 'sse.other_hub=off', '-d', 'sse.socket=' . ini_get('sse.socket'), '-d', 'sse.udp=', '-d', 'sse.namespace=detach_required', '-d', 'sse.retry_jitter=0', '-d', "sse.detach=$word", '-r',
        'try { sse_stream("a", fn () => "first", ["max_lifetime" => 1]); } catch (SseException $e) { echo $e->getMessage(); }'];
    echo shell_exec(implode(' ', array_map('escapeshellarg', $command))), "\n";
}
?>
--EXPECT--
retry: 2000

data: first


sse.detach: 'never' is none of auto, require, redirect and off
