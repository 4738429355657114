<?php

declare(strict_types=1);

use Demo\Clock;
use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

Request::post();
$room = new Room(Request::room());
$message = $room->say(
    Request::text('client', 64, ''),
    Request::text('from', 160),
    Request::text('text', 8000),
    Request::text('key', 64, '') ?: bin2hex(random_bytes(8)),
);
try {
    $message['steps']['notified'] = Clock::now();
    $id = sse_publish($room->topic, $message);
    $message['steps']['held'] = Clock::now();
} catch (SseUnavailable $e) {
    // It is in the database: whoever sees the next number asks for this one, and the sender tries again.
    Request::refuse(503, 'The message is kept, but could not be told: ' . $e->getMessage());
}
Request::answer(['id' => $id, 'seq' => $message['seq'], 'steps' => $message['steps'] + ['answered' => Clock::now()]]);
