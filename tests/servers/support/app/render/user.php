<?php

declare(strict_types=1);

// The stream of one user: who that is, the session says.
require __DIR__ . '/store.php';

if (sse_render() !== null) {
    busy(1);
    register_shutdown_function(static fn () => busy(-1));
}
session_start();
$user = $_SESSION['user'] ?? null;
if ($user === null) {
    http_response_code(401);
    exit('log in first');
}
sse_stream("users.$user", static fn (array $events): array => record($_SESSION['user']), ['event' => 'record']);
