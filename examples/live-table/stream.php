<?php

require 'database.php';

// All see the same rows: one query and one render for all of them.
sse_stream('stock', function (array $events): array {
    return database()->query('SELECT id, name, pieces FROM stock ORDER BY id')->fetchAll(PDO::FETCH_ASSOC);
}, ['event' => 'rows', 'share' => 'stock']);
