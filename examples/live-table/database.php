<?php

function database(): PDO
{
    $database = new PDO('sqlite:' . (getenv('EXAMPLE_DATA') ?: sys_get_temp_dir()) . '/table.db');
    $database->exec('PRAGMA busy_timeout = 2000');
    $database->exec('CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, name TEXT NOT NULL, pieces INTEGER NOT NULL)');
    $database->exec("INSERT OR IGNORE INTO stock VALUES (1, 'Apples', 12), (2, 'Pears', 7), (3, 'Plums', 40)");

    return $database;
}
