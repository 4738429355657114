<?php

// The id can't be guessed: who knows it may read the answer. The cursor is taken before the work begins, so no token is missed.
$id = bin2hex(random_bytes(16));
$cursor = sse_cursor();
sse_publish('questions', ['id' => $id, 'question' => mb_substr($_POST['question'] ?? '', 0, 1000)]);
header('Content-Type: application/json');
echo json_encode(['id' => $id, 'cursor' => $cursor]);
