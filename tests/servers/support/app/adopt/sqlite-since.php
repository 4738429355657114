<?php

// The messages after the last one that the browser has seen; a connection lasts for half a minute.

require __DIR__ . '/query-log.php';

header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');

function send(int $id, string $text): void
{
    echo "id: $id\n";
    echo "event: message\n";
    echo 'data: ' . json_encode(['text' => $text]) . "\n\n";
    ob_flush();
    flush();
}

$database = new PDO('sqlite:' . DATA . '/site.sqlite');
$newer = $database->prepare('SELECT id, text FROM messages WHERE id > ? ORDER BY id');
$last = (int) ($_SERVER['HTTP_LAST_EVENT_ID'] ?? $_GET['lastEventId'] ?? 0);
$started = time();
do {
    query_log('sqlite-since');
    $newer->execute([$last]);
    foreach ($newer->fetchAll(PDO::FETCH_ASSOC) as $message) {
        send((int) $message['id'], $message['text']);
        $last = (int) $message['id'];
    }
    sleep(2);
} while (time() - $started < 30);
