--TEST--
sse.adopt: on the command line, too, the loop ends when the reader has left, and shutdown functions run
--INI--
sse.namespace=adopt_reader_leaves
sse.udp=
sse.idle_exit=5
sse.adopt=1
sse.adopt_topics="*=**"
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
foreach ([0, 1] as $ignore) {
    $code = "ignore_user_abort((bool) $ignore); header('Content-Type: text/event-stream');"
        . 'register_shutdown_function(function () { fwrite(STDERR, "aborted " . connection_aborted()); });'
        . 'try { for ($i = 0; $i < 2; $i++) { echo "data: $i\n\n"; flush(); sleep($i === 0 && !' . $ignore . ' ? 60 : 1); } } finally { fwrite(STDERR, "finally "); }';
    $command = [$php, '-n', '-d', "extension=$extension", '-d', 'sse.other_hub=off', '-d', 'sse.socket=' . ini_get('sse.socket'), '-d', 'sse.udp=', '-d', 'sse.adopt=1',
        '-d', 'sse.heartbeat=0', '-d', 'sse.namespace=adopt_reader_leaves', '-r', $code];
    $process = proc_open($command, [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes);
    echo fgets($pipes[1]);
    fclose($pipes[1]);
    echo stream_get_contents($pipes[2]), ', code ', proc_close($process), "\n";
}
?>
--EXPECTF--
data: 0
aborted 1, code %d
data: 0
finally aborted 1, code %d
