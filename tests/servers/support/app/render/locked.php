<?php

declare(strict_types=1);

// A stream whose script needs the session; with `hold` a page that keeps it locked until a file says that it may let go.
session_start();
$data = dirname(__DIR__, 2) . '/data';
if (isset($_GET['hold'])) {
    touch("$data/held");
    while (!is_file("$data/release")) {
        usleep(10_000);
        clearstatcache();
    }
    exit('let go');
}
sse_stream($_GET['topic'], static fn (): int => hrtime(true));
