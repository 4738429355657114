--TEST--
sse.adopt: a setting that can't be used is told in the log, once, and the script goes on
--INI--
sse.namespace=adopt_topics
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$arguments = '-n -d sse.other_hub=off -d log_errors=1 -d error_log=/dev/stderr -d extension='
    . escapeshellarg(getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so')
    . ' -d sse.udp= -d sse.idle_exit=5 -d sse.namespace=adopt_topics -d sse.socket=' . escapeshellarg(ini_get('sse.socket'));
$code = 'header("Content-Type: text/event-stream"); flush(); SseTrigger::push("any.topic"); $t = hrtime(true); sleep(2); echo hrtime(true) - $t >= 2e9 ? "slept\n" : "woken\n";';
foreach (['sse.adopt=maybe' => 'echo "not adopted\n";', 'sse.adopt_topics="chat.php"' => $code,
    'sse.adopt_topics="chat.php=a..b"' => $code, 'sse.adopt_topics="chat.php=a"' => $code, 'sse.adopt_topics="chat.php=a, *=any.*"' => $code] as $setting => $run) {
    $output = shell_exec("$php $arguments -d sse.adopt=1 -d " . escapeshellarg($setting) . ' -r ' . escapeshellarg($run) . ' 2>&1');
    echo preg_replace('/^\[.*?\] /m', '', $output);
}
?>
--EXPECT--
sse: sse.adopt: 'maybe' is neither on nor off; no script is adopted
not adopted
sse: sse.adopt_topics: 'chat.php' has no '='; write a script and its topics, such as chat.php=chat.** users.*; until then nothing wakes an adopted script
slept
sse: sse.adopt_topics: 'chat.php=a..b' has a topic that can't be one: topic 'a..b' has an empty segment; write names joined by single dots, such as 'chat.general'; until then nothing wakes an adopted script
slept
slept
woken
