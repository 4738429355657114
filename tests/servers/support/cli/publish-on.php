<?php

declare(strict_types=1);

// usage: php publish-on.php TOPIC FILE [MICROSECONDS]
// Publishes 1, 2, 3 … so far apart until the file is there, and prints how many that were.
for ($count = 0; !file_exists($argv[2]); clearstatcache()) {
    sse_publish($argv[1], (string) ++$count);
    usleep((int) ($argv[3] ?? 1000));
}
echo $count;
