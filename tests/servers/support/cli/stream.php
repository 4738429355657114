<?php

declare(strict_types=1);

// usage: php stream.php TOPIC...
// Streams on the command line, where no connection can be handed over; says on standard error what came of it.
$answer = sse_stream(array_slice($argv, 1));
fwrite(STDERR, 'sse_stream returned ' . var_export($answer, true) . "\n");
