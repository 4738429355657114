<?php

$from = mb_substr(trim($_POST['from'] ?? ''), 0, 40);
$text = mb_substr(trim($_POST['text'] ?? ''), 0, 500);
if ($from === '' || $text === '') {
    http_response_code(422);
    exit;
}
sse_publish('chat', ['from' => $from, 'text' => $text]);
