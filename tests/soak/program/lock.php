<?php

declare(strict_types=1);

// usage: php lock.php FILE SECONDS
// Keeps an SQLite file locked, as a backup or a careless shell does.
$file = new SQLite3($argv[1], SQLITE3_OPEN_READWRITE);
$file->busyTimeout(500);
if (@$file->exec('BEGIN IMMEDIATE')) {
    usleep((int) ($argv[2] * 1e6));
    $file->exec('ROLLBACK');
}
$file->close();
