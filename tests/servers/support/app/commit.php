<?php

declare(strict_types=1);

// Holds `count` events "held 1", "held 2" … of `topic`s back, and ends as `end` says, with the status `status`.
require __DIR__ . '/ends.php';

ob_start();
ini_set('sse.publish', 'commit');
for ($i = 1; $i <= (int) ($_GET['count'] ?? 2); $i++) {
    sse_publish(explode(',', $_GET['topic'] ?? 'news'), "held $i");
}
http_response_code((int) ($_GET['status'] ?? 200));
echo 'answered';
ending($_GET['end'] ?? '');
