<?php

declare(strict_types=1);

// usage: php publish-with-id.php TOPIC DATA ID
echo sse_publish($argv[1], $argv[2], null, $argv[3]), "\n";
