<?php

declare(strict_types=1);

// A stream as a site would have it: who may watch what, and how the client wants to be told the topics.
$topics = explode(',', $_GET['topics'] ?? '');
foreach ($topics as $topic) {
    if (str_starts_with($topic, 'secret')) {
        http_response_code(403);
        exit;
    }
    if (str_starts_with($topic, 'private') && ($_SERVER['HTTP_AUTHORIZATION'] ?? '') !== 'Bearer of-the-test') {
        http_response_code(401);
        exit;
    }
}
$options = ['topics_as' => $_GET['topicsAs'] ?? null, 'retry' => (int) ($_GET['retry'] ?? 100)];
sse_stream($topics, null, $options + (isset($_GET['heartbeat']) ? ['heartbeat' => (int) $_GET['heartbeat']] : []));
