<?php

$from = trim($_POST['from'] ?? '');
$text = trim($_POST['text'] ?? '');
if ($from === '' || strlen($from) > 200 || $text === '' || strlen($text) > 2000) {
    http_response_code(422);
    exit;
}
sse_publish('chat', ['from' => $from, 'text' => $text]);
