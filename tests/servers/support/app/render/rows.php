<?php

declare(strict_types=1);

// One event a row after the last that the client has: the rows are the lines of a file. A new visitor gets a session.
session_start();
sse_stream('rows', static function (): Generator {
    $folder = dirname(__DIR__, 2) . '/data';
    file_put_contents("$folder/sessions", session_id() . "\n", FILE_APPEND);
    $rows = file("$folder/rows", FILE_IGNORE_NEW_LINES);
    foreach (array_slice($rows, (int) ($_SERVER['HTTP_LAST_EVENT_ID'] ?? 0), null, true) as $place => $row) {
        yield new SseEvent($row, id: (string) ($place + 1));
    }
}, ['heartbeat' => 1]);
