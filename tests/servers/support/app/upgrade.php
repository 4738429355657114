<?php

declare(strict_types=1);

header('Content-Type: application/json');
try {
    echo json_encode(sse_hub_upgrade(), JSON_THROW_ON_ERROR);
} catch (SseException $exception) {
    http_response_code(500);
    echo json_encode(['error' => $exception::class, 'message' => $exception->getMessage()], JSON_THROW_ON_ERROR);
}
