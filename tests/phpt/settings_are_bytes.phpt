--TEST--
A setting is the bytes that php.ini has, or an error: it never counts as nothing
--INI--
sse.udp=
--FILE--
<?php
$folder = sys_get_temp_dir() . '/sse-bytes-' . getmypid();
mkdir($folder, 0700);
$extension = getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so';
/** Runs code with settings of a php.ini. */
function run(array $settings, string $code): string
{
    global $folder, $extension;
    $settings += ['extension' => $extension, 'sse.socket' => "$folder/hub.sock", 'sse.udp' => '', 'sse.idle_exit' => 1];
    $lines = array_map(static fn ($name, $value): string => "$name='$value'\n", array_keys($settings), $settings);
    file_put_contents("$folder/php.ini", $lines);
    $code = "try { $code } catch (SseException \$e) { echo get_class(\$e), ': ', \$e->getMessage(); }";
    $command = ['env', 'PHP_INI_SCAN_DIR=', getenv('TEST_PHP_EXECUTABLE'), '-c', "$folder/php.ini", '-r', $code];
    $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);

    return stream_get_contents($pipes[1]);
}

// Random bytes are a usual key, and those before a NUL are not all of it.
$key = "\xff\xfe\0 secret \r\n \"\\ \${HOME}";
echo run(['sse.udp' => '127.0.0.1:0', 'sse.udp_key' => $key], '
    $udp = stream_socket_client("udp://" . sse_stats()["udp"]["listening"]);
    $wake = "WAKEUP news t=" . (int) (microtime(true) * 1000);
    $key = ini_get("sse.udp_key");
    $forged = hash_hmac("sha256", $wake, strtok($key, "\0"));
    foreach (["WAKEUP plain", "$wake h=$forged", "$wake h=" . hash_hmac("sha256", $wake, $key)] as $datagram) {
        fwrite($udp, $datagram);
    }
    do {
        $stats = sse_stats()["udp"];
    } while ($stats["received"] < 3);
    echo strlen($key), " bytes: ", $stats["unauthenticated"], " refused, ", $stats["wakes"], " taken";
'), "\n";
$shown = run(['sse.udp_key' => $key], 'phpinfo(INFO_MODULES);');
echo preg_match('/^sse\.udp_key => .*$/m', $shown, $line) ? $line[0] : 'not shown', "\n";

foreach ([
    ['sse.namespace' => "shop\xe4"],
    ['sse.namespace' => "shop\0"],
    ['sse.bus' => "redis://me:s3cret\xe4@127.0.0.1/0", 'sse.namespace' => 'a'],
    ['sse.socket' => "$folder/x\0y.sock"],
    ['sse.log_level' => "info\xff", 'sse.namespace' => 'b'],
] as $settings) {
    echo str_replace($folder, '', run($settings, 'sse_publish("a", "x"); echo "accepted";')), "\n";
}
// A path is what the system calls one.
$socket = "$folder/x\xe4.sock";
$settings = ['sse.socket' => $socket, 'sse.log' => "$folder/l\xe4.log", 'sse.namespace' => 'shop'];
echo run($settings, 'echo strlen(sse_publish("a", "x")) > 9;'), ' ',
    bin2hex(basename(glob("$folder/*.shop.sock")[0] ?? '')), ' ', count(glob("$folder/l\xe4.log")), "\n";
?>
--EXPECT--
24 bytes: 2 refused, 1 taken
sse.udp_key => *** => ***
SseException: sse.namespace: 'shop\xe4' is not UTF-8
SseException: sse.namespace: 'shop\x00' has a NUL byte in it
SseException: sse.bus: '…' is not UTF-8
SseException: sse.socket: '/x\x00y.sock' has a NUL byte in it
SseException: sse.log_level: 'info\xff' is not UTF-8
1 78e42e73686f702e736f636b 1
