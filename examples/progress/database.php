<?php

/** The queue: a table of jobs. */
function database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('EXAMPLE_DATA') ?: sys_get_temp_dir()) . '/progress.db');
    $database->exec('PRAGMA busy_timeout = 2000');
    $database->exec('CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, percent INTEGER NOT NULL DEFAULT 0)');

    return $database;
}
