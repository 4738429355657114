<?php

// A queue worker, as `examples/run` starts it beside the server: `php worker.php`.

require __DIR__ . '/database.php';

function work(PDO $database): void
{
    $next = 'SELECT id FROM job WHERE percent < 100 ORDER BY id LIMIT 1';
    while (($job = $database->query($next)->fetchColumn()) !== false) {
        for ($percent = 10; $percent <= 100; $percent += 10) {
            usleep(200_000);                // the work
            $database->prepare('UPDATE job SET percent = ? WHERE id = ?')->execute([$percent, $job]);
            SseTrigger::push("jobs.$job");  // after the commit
        }
    }
}

$database = database();
$queue = new SseSubscription('queue');      // first, so that no job is missed
echo "The worker takes jobs.\n";
work($database);
foreach ($queue as $event) {
    work($database);
}
