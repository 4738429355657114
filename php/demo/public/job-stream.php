<?php

declare(strict_types=1);

use Demo\Job;
use Demo\Request;

require __DIR__ . '/../src/start.php';

$id = Request::parameter('job', 32);
if (preg_match('/^[0-9a-f]{16}$/D', $id) !== 1) {
    Request::refuse(422, "'job' must be the id of a job.");
}
$topicsAs = ($_GET['topicsAs'] ?? '') === 'field' ? 'field' : null; // SSEManager's wish
sse_stream(Job::topic($id), options: ['topics_as' => $topicsAs, 'retry' => 1000, 'heartbeat' => 10]);
