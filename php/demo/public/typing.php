<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Room;

require __DIR__ . '/../src/start.php';

Request::post();
$room = new Room(Request::room());
$typing = ['client' => Request::text('client', 64), 'name' => Request::text('name', 160), 'typing' => Request::text('typing', 1) === '1'];
// Nobody waits for this one: if it is lost, nothing is. The stream of who types is left out.
sse_publish("$room->topic.typing", $typing, event: 'typing', mode: 'async', except: Request::text('stream', 64, '') ?: null);
http_response_code(204);
