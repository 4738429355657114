<?php

declare(strict_types=1);

// usage: php upgrade.php JOURNAL
// Lets a new hub take over from the one that runs, and writes down what came of it.

use PhpSse\Tests\Soak\Journal;

require dirname(__DIR__, 2) . '/servers/bootstrap.php';

$journal = new Journal($argv[1]);
$journal->write('upgrade');
try {
    $journal->write('upgraded', json_encode(sse_hub_upgrade(), JSON_THROW_ON_ERROR));
} catch (SseException $exception) {
    $journal->write('not-upgraded', $exception->getMessage());
}
