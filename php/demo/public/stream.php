<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

// The browser opens this. The hub takes the connection, and PHP is free at once.
$room = new Room(Request::room());
$topicsAs = ($_GET['topicsAs'] ?? '') === 'field' ? 'field' : null; // SSEManager's wish
sse_stream([$room->topic, "$room->topic.*"], options: ['topics_as' => $topicsAs, 'retry' => 1000, 'heartbeat' => 10]);
