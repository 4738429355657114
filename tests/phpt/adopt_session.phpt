--TEST--
sse.adopt: what a script changes in its session after its first sleep is merged with what others wrote meanwhile
--INI--
sse.namespace=adopt_session
sse.udp=
sse.idle_exit=5
sse.adopt=1
--FILE--
<?php
$folder = sys_get_temp_dir() . '/adopt-session-' . getmypid();
mkdir($folder);
$php = escapeshellarg(getenv('TEST_PHP_EXECUTABLE')) . ' -n -d session.use_cookies=0 -d session.use_strict_mode=0'
    . ' -d session.save_path=' . escapeshellarg($folder);
$extension = escapeshellarg(getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so');
$start = 'session_id("adopted"); session_start(); ';
$other = "$php -r " . escapeshellarg($start . '$_SESSION["other"] = $_SESSION["place"];');
$loop = $start . '$_SESSION = ["place" => 1, "gone" => 1, "same" => 1]; header("Content-Type: text/event-stream"); echo "data: 1\n\n"; '
    . 'usleep(1); shell_exec(' . var_export($other, true) . '); $_SESSION["place"] = 2; unset($_SESSION["gone"]);';
echo shell_exec("$php -d extension=$extension -d sse.other_hub=off -d sse.adopt=1 -d sse.udp= -d sse.namespace=adopt_session -r " . escapeshellarg($loop));
echo shell_exec("$php -r " . escapeshellarg($start . 'ksort($_SESSION); echo json_encode($_SESSION), "\n";'));
array_map('unlink', glob("$folder/*"));
rmdir($folder);
?>
--EXPECT--
data: 1

{"other":1,"place":2,"same":1}
