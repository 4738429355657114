<?php

declare(strict_types=1);

header('Content-Type: text/plain; charset=utf-8');

// A form of another site can post here too, but can't set this page's origin.
$origin = $_SERVER['HTTP_ORIGIN'] ?? null;
$sameSite = $origin === null || parse_url($origin, PHP_URL_HOST) === parse_url('//' . $_SERVER['HTTP_HOST'], PHP_URL_HOST);
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !$sameSite) {
    http_response_code(403);
    exit('Messages are sent from the chat page.');
}

// Each field with the bytes it may have.
$message = [];
foreach (['from' => 160, 'text' => 8000, 'key' => 64] as $field => $limit) {
    $value = $_POST[$field] ?? '';
    if (!is_string($value) || strlen($value) > $limit || preg_match('//u', $value) !== 1 || ($value === '' && $field !== 'key')) {
        http_response_code(422);
        exit("'$field' must be text in UTF-8, at most $limit bytes.");
    }
    $message[$field] = $value;
}

try {
    echo sse_publish('chat.general', $message);
} catch (SseUnavailable $e) {
    http_response_code(503);
    exit('The chat is not available: ' . $e->getMessage());
}
