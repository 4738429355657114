<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

Request::post();
$room = new Room(Request::room());
$room->present(Request::text('client', 64), Request::text('name', 160), Request::text('here', 1) === '1');
http_response_code(204);
