--TEST--
On the command line the stream goes to standard output, until its reader leaves
--INI--
sse.namespace=cli_stream
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
$command = [$php, '-n', '-d', "extension=$extension", '-d', 'sse.other_hub=off', '-d', 'sse.socket=' . ini_get('sse.socket'), '-d', 'sse.udp=', '-d', 'sse.retry_jitter=0', '-d', 'sse.namespace=cli_stream', '-r',
    'ob_start(); echo "thrown away"; $result = sse_stream("a", options: ["retry" => 700]); fwrite(STDERR, var_export($result, true)); echo "late";'];
$process = proc_open($command, [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes);
echo fread($pipes[1], 100);
sse_publish('a', "one\ntwo", 'named', '7');
echo fread($pipes[1], 100);
fclose($pipes[1]);
echo stream_get_contents($pipes[2]), ' ', proc_close($process), "\n";
?>
--EXPECTF--
retry: 700
id: %d-%d

id: 7
event: named
data: one
data: two

false 0
