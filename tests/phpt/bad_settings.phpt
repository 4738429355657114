--TEST--
A setting that can't be used is named, with its value and what to do
--INI--
sse.namespace=bad_settings
sse.udp=
sse.idle_exit=5
--FILE--
<?php
$php = getenv('TEST_PHP_EXECUTABLE');
$arguments = '-n -d sse.other_hub=off -d extension=' . escapeshellarg(getenv('SSE_EXTENSION') ?: dirname(__DIR__, 2) . '/build/sse.so');
foreach (['sse.udp=0.0.0.0:8099', 'sse.udp=nonsense', 'sse.spawn=maybe', 'sse.max_event_size=lots', 'sse.socket_mode=0444',
    'sse.socket_group=no-such-group', 'sse.namespace=a/b', 'sse.log_level=loud', 'sse.timeout=0', 'sse.publish=later', 'sse.history=disk', 'sse.history_events=0', 'sse.max_streams_per_ip=-1', 'sse.processes=0', 'sse.render_bytes=1K', 'sse.log=/no/such/folder/hub.log', 'sse.log=hub.log', 'sse.socket=hub.sock'] as $setting) {
    $code = 'try { sse_publish("a", "x"); echo "accepted"; } catch (SseException $e) { echo get_class($e), ": ", $e->getMessage(); }';
    $socket = '-d sse.socket=' . escapeshellarg(ini_get('sse.socket'));
    echo shell_exec("$php $arguments $socket -d " . escapeshellarg($setting) . ' -r ' . escapeshellarg($code)), "\n";
}
?>
--EXPECT--
SseException: sse.udp: '0.0.0.0:8099' is not loopback; set sse.udp_key to listen beyond this machine
SseException: sse.udp: 'nonsense' is not an address and port, such as 127.0.0.1:8099 or [::1]:8099
SseException: sse.spawn: 'maybe' is neither auto nor off
SseException: sse.max_event_size: 'lots' is not a number from 1 to 67108864
SseException: sse.socket_mode: '0444' is not an octal mode from 0600 to 0777, such as 0660
SseException: sse.socket_group: 'no-such-group' is not a group of this system
SseException: sse.namespace: 'a/b' may have up to 64 letters, digits, '_' and '-' only
SseException: sse.log_level: 'loud' is not one of: off, error, warn, info, debug, trace
SseException: sse.timeout: '0' is not a number from 1 to 600000
SseException: sse.publish: 'later' is not one of: ack, async, commit
SseException: sse.history: 'disk' is neither memory, sqlite:/path nor off
SseException: sse.history_events: '0' is not a number from 1 to 10000000
SseException: sse.max_streams_per_ip: '-1' is not a number from 0 to 10000000
SseException: sse.processes: '0' is neither auto nor 1 to 256
SseException: sse.render_bytes: '1K' is not a number from 65536 to 1099511627776
SseUnavailable: sse.log: opening /no/such/folder/hub.log failed: No such file or directory (os error 2)
SseException: sse.log: 'hub.log' is not an absolute path
SseException: sse.socket: 'hub.sock' is not an absolute path
