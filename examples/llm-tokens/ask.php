<?php

$question = $_POST['question'] ?? '';
if ($question === '' || strlen($question) > 4000) {
    http_response_code(422);
    exit;
}
// The id can't be guessed: who knows it may read the answer. The cursor is taken before the work begins, so no token is missed.
$id = bin2hex(random_bytes(16));
$cursor = sse_cursor();
sse_publish('questions', ['id' => $id, 'question' => $question]);
header('Content-Type: application/json');
echo json_encode(['id' => $id, 'cursor' => $cursor]);
