<?php

declare(strict_types=1);

// usage: php publish.php TOPIC DATA [FILE]
// Publishes one event, once FILE (where one is named) is there; prints its id, or what went wrong with exit code 1.
for ($turn = 0; isset($argv[3]) && !file_exists($argv[3]) && $turn < 3000; $turn++) {
    usleep(1000);
    clearstatcache();
}
try {
    echo sse_publish($argv[1], $argv[2]), "\n";
} catch (SseException $exception) {
    echo $exception::class, ': ', $exception->getMessage(), "\n";
    exit(1);
}
