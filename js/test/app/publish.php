<?php

declare(strict_types=1);

// Publishes one message, or those of `many`; answers with their ids.
header('Content-Type: application/json');
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
    http_response_code(415);
    exit('{"error":"JSON is to be posted"}');
}
$message = json_decode(file_get_contents('php://input'), true, 64, JSON_THROW_ON_ERROR);
$ids = [];
foreach ($message['many'] ?? [$message] as $one) {
    if ($one['finish'] ?? false) {
        $ids[] = sse_finish($one['topic'], $one['data'], $one['event'] ?? null);
        continue;
    }
    $retain = $one['retain'] ?? false;
    $ids[] = sse_publish($one['topic'], $one['data'], $one['event'] ?? null, $one['id'] ?? null, $one['retry'] ?? null, retain: $retain);
}
echo json_encode(['ids' => $ids], JSON_THROW_ON_ERROR);
