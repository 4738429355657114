<?php

declare(strict_types=1);

// usage: php end-hubs.php FOLDER
// Ends the hubs whose sockets are in a folder or in its sub-folders, and waits for their end.

use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

require __DIR__ . '/bootstrap.php';

foreach (glob("$argv[1]/{,*/,*/*/}*.sock", GLOB_BRACE) ?: [] as $socket) {
    foreach (Proc::listenersOn($socket) as $hub) {
        posix_kill($hub, SIGTERM);
        Deadline::until(static fn (): bool => !Proc::isAlive($hub), 5.0, "the hub $hub ends on SIGTERM");
    }
}
