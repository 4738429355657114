<?php

require 'database.php';

// A callback, and not sse_publish(): what counts is where the job is now, not each step on its way.
$job = (int) ($_GET['job'] ?? 0);
sse_stream("jobs.$job", function (array $events) use ($job): ?array {
    $query = database()->prepare('SELECT percent FROM job WHERE id = ?');
    $query->execute([$job]);
    $percent = $query->fetchColumn();

    return $percent === false ? null : ['percent' => (int) $percent];
}, ['event' => 'progress']);
