<?php

require 'database.php';

$database = database();
$database->exec('INSERT INTO job DEFAULT VALUES');
$job = (int) $database->lastInsertId();
SseTrigger::push('queue');                  // the worker need not ask the table every second
header('Content-Type: application/json');
echo json_encode(['job' => $job]);
