<?php

// How many notices are unread, asked of the database every second.

require __DIR__ . '/query-log.php';

header('Content-Type: text/event-stream; charset=UTF-8');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');

$database = new PDO('sqlite:' . DATA . '/site.sqlite');

ob_start();
while (true) {
    query_log('poll');
    $unread = (int) $database->query('SELECT COUNT(*) FROM notices')->fetchColumn();
    echo 'data: ', json_encode(['unread' => $unread]), "\n\n";
    ob_flush();
    flush();
    sleep(1);
}
