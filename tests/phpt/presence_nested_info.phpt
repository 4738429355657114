--TEST--
An info that is nested as deeply as JSON may be does not hide the members of its topic
--INI--
sse.namespace=presence_nested_info
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
$command = [$php, '-n', '-d', "extension=$extension", '-d', 'sse.other_hub=off', '-d', 'sse.socket=' . ini_get('sse.socket'), '-d', 'sse.udp=', '-d', 'sse.namespace=presence_nested_info', '-r',
    '$info = json_decode(str_repeat("[", 512) . str_repeat("]", 512), true, 600); sse_stream("a", options: ["presence" => ["id" => "u", "info" => $info]]);'];
$process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
fgets($pipes[1]);
$members = sse_presence('a');
$info = $members['u']['info'];
for ($depth = 0; is_array($info); $depth++) {
    $info = $info[0] ?? null;
}
echo implode(',', array_keys($members)), ' ', $depth, "\n";
fclose($pipes[1]);
proc_close($process);
?>
--EXPECT--
u 512
