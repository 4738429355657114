--TEST--
A daemon that has closed its standard streams can start a hub
--INI--
sse.namespace=closed_standard_streams
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$file = tempnam(sys_get_temp_dir(), 'sse');
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
$code = 'fclose(STDIN); fclose(STDOUT); fclose(STDERR);'
    . 'try { $text = strlen(sse_publish("a", "x")) > 0 ? "published " . sse_stats()["published"] : ""; } catch (Throwable $e) { $text = $e->getMessage(); }'
    . 'file_put_contents($argv[1], $text);';
$command = [getenv('TEST_PHP_EXECUTABLE'), '-n', '-d', "extension=$extension", '-d', 'sse.other_hub=off', '-d', 'sse.namespace=closed', '-d', 'sse.udp=',
    '-d', 'sse.idle_exit=5', '-r', $code, '--', $file];
proc_close(proc_open($command, [], $pipes));
echo file_get_contents($file), "\n";
unlink($file);
?>
--EXPECT--
published 1
