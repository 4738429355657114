<?php

declare(strict_types=1);

use Demo\Database;
use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

Request::method('GET');
$room = new Room(Request::room());
// The cursor is read before the messages: what is published in between comes by the stream, and is known by its number.
$cursor = sse_cursor();
$after = is_numeric($_GET['after'] ?? null) ? (int) $_GET['after'] : $room->newest(50);
Request::answer(['epoch' => Database::epoch(), 'cursor' => $cursor, 'messages' => $room->after($after)]);
