<?php

// Jobs that are done, taken from a list in Redis once a second.

require __DIR__ . '/query-log.php';

set_time_limit(0);
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');

$redis = new Redis();
$redis->connect(DATA . '/redis.sock');

echo "retry: 3000\n\n";
while (true) {
    query_log('redis-list');
    while ($job = $redis->rPop('jobs:done')) {
        echo "event: job\ndata: $job\n\n";
    }
    @ob_flush();
    flush();
    sleep(1);
}
