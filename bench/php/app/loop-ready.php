<?php

declare(strict_types=1);

// Makes the database of loop.php. With its log beside it, readers and a writer don't wait for each other.
$database = new PDO('sqlite:' . $_SERVER['LOOP_DATABASE']);
$database->exec('PRAGMA journal_mode = wal');
$database->exec('CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, data TEXT NOT NULL)');
$database->exec('CREATE INDEX IF NOT EXISTS event_by_topic ON event (topic, id)');
echo 'ready';
