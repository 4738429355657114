<?php

declare(strict_types=1);

// A job, in a process of its own: php job-worker.php ID ROWS MILLISECONDS
// It tells how far it is, and at the end that no more is to come. While the hub is away it goes on, and tells later.

[, $id, $rows, $lasts] = $argv;
$steps = 40;
// With the demo its folder goes.
$isOver = static fn (): bool => !is_dir(dirname((string) ini_get('sse.socket')));
$began = date('H:i:s');
for ($step = 1; $step <= $steps; $step++) {
    usleep(intdiv((int) $lasts * 1000, $steps));
    $done = intdiv((int) $rows * $step, $steps);
    try {
        if ($step < $steps) {
            sse_publish("job.$id", ['done' => $done, 'of' => (int) $rows], event: 'progress');
        }
    } catch (SseUnavailable) {
        // The next step tells more.
        if ($isOver()) {
            exit;
        }
    }
}
while (!$isOver()) {
    try {
        sse_finish("job.$id", ['done' => (int) $rows, 'of' => (int) $rows, 'began' => $began, 'ended' => date('H:i:s')], 'finished');
        exit;
    } catch (SseUnavailable) {
        usleep(200_000);
    }
}
