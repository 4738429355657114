<?php

declare(strict_types=1);

// Publishes `data` to `topics`, with `event`, `id` and `mode`. Mode `rollback` is `commit` in a request that fails then.
header('Content-Type: application/json');
$mode = $_POST['mode'] ?? 'ack';
$arguments = [explode(',', $_POST['topics']), $_POST['data'], $_POST['event'] ?? null, $_POST['id'] ?? null];
if ($mode !== 'ack') {
    $arguments += [4 => null, 5 => $mode === 'rollback' ? 'commit' : $mode];
}
try {
    echo json_encode(['id' => sse_publish(...$arguments)], JSON_THROW_ON_ERROR);
} catch (SseException $exception) {
    http_response_code(503);
    echo json_encode(['error' => $exception::class, 'message' => $exception->getMessage()], JSON_THROW_ON_ERROR);
}
if ($mode === 'rollback') {
    throw new RuntimeException('this request fails');
}
