<?php

function database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('EXAMPLE_DATA') ?: sys_get_temp_dir()) . '/notifications.db');
    $database->exec('PRAGMA busy_timeout = 2000');
    $database->exec('CREATE TABLE IF NOT EXISTS notification (id INTEGER PRIMARY KEY, user INTEGER, text TEXT, seen INTEGER DEFAULT 0)');

    return $database;
}
