<?php

declare(strict_types=1);

// A site that keeps rows from its clients by a handler of its own, which takes them out of each list.
use Tqdev\PhpCrudApi\ResponseFactory;

require __DIR__ . '/run.php';
serve([
    'middlewares' => 'customization',
    'customization.afterHandler' => function (string $operation, string $table, $response) {
        if ($operation !== 'list') {
            return null;
        }
        $list = json_decode($response->getBody()->getContents());
        $list->records = array_values(array_filter($list->records, fn ($record) => $record->tenant === 'one'));

        return ResponseFactory::fromObject(200, $list, 0);
    },
]);
