<?php

declare(strict_types=1);

// Publishes `data` to `topic`; with `count`, that many events "data 1", "data 2" … in one request.
// With `finish` it is the topic's last event.
// `id` (with count: its prefix), `event`, `retry`, `mode`, `key`, `retain`, `latest`, `spread` and `traceparent` as sse_publish() has them.
header('Content-Type: application/json');
$count = (int) ($_POST['count'] ?? 0);
$ids = [];
try {
    for ($i = 1; $i <= max(1, $count); $i++) {
        if (isset($_POST['finish'])) {
            $ids[] = sse_finish($_POST['topic'], $_POST['data'], $_POST['event'] ?? null);
            continue;
        }
        $ids[] = sse_publish(
            explode(',', $_POST['topic']),
            $count === 0 ? $_POST['data'] : "{$_POST['data']} $i",
            $_POST['event'] ?? null,
            isset($_POST['id']) ? $_POST['id'] . ($count === 0 ? '' : "-$i") : null,
            isset($_POST['retry']) ? (int) $_POST['retry'] : null,
            $_POST['mode'] ?? null,
            $_POST['key'] ?? null,
            isset($_POST['retain']),
            latest: isset($_POST['latest']),
            spread: (int) ($_POST['spread'] ?? 0),
            traceparent: $_POST['traceparent'] ?? null,
        );
    }
    echo json_encode(['ids' => $ids], JSON_THROW_ON_ERROR);
} catch (SseException $exception) {
    http_response_code(500);
    echo json_encode(['error' => $exception::class, 'message' => $exception->getMessage()], JSON_THROW_ON_ERROR);
}
