<?php

declare(strict_types=1);

// What is published has the records, without the column that nobody may read.
require __DIR__ . '/run.php';
serve(
    [
        'middlewares' => 'authorization',
        'authorization.columnHandler' => fn (string $operation, string $table, string $column) => $column !== 'secret',
    ],
    record: true,
    prefix: 'shop.records',
);
