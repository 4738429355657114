--TEST--
sse.bus is compared with what the hub tells of it, and shown without passwords
--EXTENSIONS--
sse
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
// What PCRE compiles to machine code, valgrind takes for faults.
$arguments = '-n -d pcre.jit=0 -d sse.other_hub=off -d extension=' . escapeshellarg(getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so');
$settings = var_export(dirname(__DIR__, 2) . '/php/src/Doctor/Settings.php', true);
foreach (
    [
        'redis://me:secret@one' => 'redis://one:6379/0',
        'valkey://[::1]/3?stream=s' => 'redis://[::1]:6379/3',
        'rediss://:secret@one:7000?stream=s' => 'rediss://one:7000/0',
        'redis+sentinel://:secret@one,[::1],two:5000/mymaster?sentinel_pass=secret&stream=s'
            => 'redis+sentinel://one:26379,[::1]:26379,two:5000/mymaster/0',
        'rediss+sentinel://one/mymaster/2' => 'rediss+sentinel://one:26379/mymaster/2',
        'redis+cluster://me:secret@one,two:7000?stream=s' => 'redis+cluster://one:6379,two:7000',
        'redis+cluster://one/0' => 'redis+cluster://one:6379',
    ] as $url => $hub
) {
    $code = "require $settings;"
        . 'foreach ([$argv[1], "$argv[1]x"] as $hub) {'
        . '    foreach (Sse\Doctor\Settings::all(["bus" => $hub]) as $row) {'
        . '        if ($row["name"] === "sse.bus") { echo $row["value"], $row["differs"] ? " differs" : " is the same", "\n"; }'
        . '    }'
        . '}';
    $setting = escapeshellarg("sse.bus=\"$url\"");
    echo shell_exec("$php $arguments -d $setting -r " . escapeshellarg($code) . ' -- ' . escapeshellarg($hub));
}
?>
--EXPECT--
redis://***@one is the same
redis://***@one differs
valkey://[::1]/3?stream=s is the same
valkey://[::1]/3?stream=s differs
rediss://***@one:7000?stream=s is the same
rediss://***@one:7000?stream=s differs
redis+sentinel://***@one,[::1],two:5000/mymaster?sentinel_pass=***&stream=s is the same
redis+sentinel://***@one,[::1],two:5000/mymaster?sentinel_pass=***&stream=s differs
rediss+sentinel://one/mymaster/2 is the same
rediss+sentinel://one/mymaster/2 differs
redis+cluster://***@one,two:7000?stream=s is the same
redis+cluster://***@one,two:7000?stream=s differs
redis+cluster://one/0 is the same
redis+cluster://one/0 differs
