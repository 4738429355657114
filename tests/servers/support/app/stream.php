<?php

declare(strict_types=1);

// Streams `topics`. What the page did before is named by `before`, what it does afterwards by `after`; both may name
// several deeds, joined by comma. What sse_stream() answered goes to PHP's log, since no output can tell of it.
require __DIR__ . '/deeds.php';

foreach (explode(',', $_GET['before'] ?? '') as $deed) {
    before($deed);
}
try {
    $options = array_map('intval', array_intersect_key($_GET, ['heartbeat' => 1, 'retry' => 1, 'max_lifetime' => 1, 'max_per_user' => 1]));
    $options += isset($_GET['detach']) ? ['detach' => (bool) $_GET['detach']] : [];
    $options += array_intersect_key($_GET, ['user' => 1, 'over_limit' => 1]);
    $options += isset($_GET['since']) ? ['last_event_id' => $_GET['since']] : [];
    $options += isset($_GET['retained']) ? ['retained' => true] : [];
    $answer = sse_stream(explode(',', $_GET['topics']), null, $options);
    error_log('sse_stream returned ' . var_export($answer, true));
} catch (SseException $exception) {
    error_log('sse_stream threw ' . $exception::class . ': ' . $exception->getMessage());
    if (!headers_sent()) {
        http_response_code(500);
        header('Content-Type: text/plain');
    }
    echo '[caught ', $exception::class, ': ', $exception->getMessage(), ']';
}
foreach (explode(',', $_GET['after'] ?? '') as $deed) {
    after($deed);
}
error_log('the script has ended');
