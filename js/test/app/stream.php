<?php

declare(strict_types=1);

// A stream as a site would have it: who may watch what, and how the client wants to be told the topics.
$asked = $_GET + $_POST;
$topics = explode(',', $asked['topics'] ?? '');
if (isset($_GET['anyOrigin'])) {
    header('Access-Control-Allow-Origin: *');
}
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
$options = ['topics_as' => $asked['topicsAs'] ?? null, 'retry' => (int) ($_GET['retry'] ?? 100)];
$options += isset($_GET['streamId']) ? ['stream_id' => true] : [];
$options += isset($_GET['key']) ? ['user' => $_GET['key']] : [];
$options += ['retained' => isset($asked['retained'])];
if (isset($_GET['user'])) {
    $options += ['presence' => ['id' => $_GET['user'], 'info' => ['name' => ucfirst($_GET['user'])]], 'presence_events' => true];
}
$options += isset($_POST['lastEventId']) ? ['last_event_id' => $_POST['lastEventId']] : [];
if (isset($_GET['callback'])) {
    sse_stream($topics, static fn (): array => ['n' => 1], ['heartbeat' => (int) $_GET['heartbeat']]);
    exit;
}
sse_stream($topics, null, $options + (isset($_GET['heartbeat']) ? ['heartbeat' => (int) $_GET['heartbeat']] : []));
