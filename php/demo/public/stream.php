<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

// The browser opens this. The hub takes the connection, and PHP is free at once.
$room = new Room(Request::room());
$options = ['retry' => 1000, 'heartbeat' => 10];
if (($_GET['topicsAs'] ?? '') === 'field') { // SSEManager's wish
    $options += ['topics_as' => 'field', 'stream_id' => true];
}
if (isset($_GET['client'])) {
    // Who is in the room is what the hub knows anyway: who has a stream of it.
    $member = ['id' => Request::parameter('client', 64), 'info' => ['name' => Request::parameter('name', 160)]];
    $options += ['presence' => $member, 'presence_events' => true];
}
sse_stream([$room->topic, "$room->topic.*"], options: $options);
