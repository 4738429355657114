<?php

declare(strict_types=1);

// Streams once the file `go` is there, without heartbeats: what the client does meanwhile is found by nothing else.
require_once __DIR__ . '/data.php';

register_shutdown_function(static fn () => tell('requests', 'over'));
tell('requests', 'waits');
while (told('go') === '') {
    usleep(1000);
}
sse_stream('news', null, ['heartbeat' => 0]);
