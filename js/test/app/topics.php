<?php

declare(strict_types=1);

// Changes what an open stream watches, as a site would: who asks may watch what is added, and it is their own stream.
header('Content-Type: application/json');
$names = static fn (string $field): array => array_filter(explode(',', $_POST[$field] ?? ''), 'strlen');
foreach ($names('add') as $topic) {
    if (str_starts_with($topic, 'secret')) {
        http_response_code(403);
        exit('{"error":"not for you"}');
    }
}
$cursor = sse_retopic($_POST['stream'] ?? '', $names('add'), $names('remove'), $_GET['key'] ?? null);
http_response_code($cursor === null ? 409 : 200);
echo json_encode(['cursor' => $cursor], JSON_THROW_ON_ERROR);
