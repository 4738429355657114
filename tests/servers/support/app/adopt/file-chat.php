<?php

// A chat in a file: each line is a message. Looks for new ones twice a second.

require __DIR__ . '/query-log.php';

session_start();
$name = $_SESSION['name'] ?? 'guest';

header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');

$file = DATA . '/chat.txt';
$position = file_exists($file) ? filesize($file) : 0;
echo "event: welcome\ndata: $name\n\n";
while (true) {
    query_log('file-chat');
    clearstatcache();
    if (file_exists($file) && filesize($file) > $position) {
        $handle = fopen($file, 'r');
        fseek($handle, $position);
        while (($line = fgets($handle)) !== false) {
            echo 'data: ', rtrim($line), "\n\n";
        }
        $position = ftell($handle);
        fclose($handle);
    }
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
    usleep(500000);
}
