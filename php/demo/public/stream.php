<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

// The browser opens this. The hub takes the connection, and PHP is free at once.
$room = new Room(Request::room());
sse_stream([$room->topic, "$room->topic.*"], options: ['retry' => 1000, 'heartbeat' => 10]);
