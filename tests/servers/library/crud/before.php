<?php

declare(strict_types=1);

// A site that keeps rows from its clients by a handler of its own, which adds a filter to each list.
use Tqdev\PhpCrudApi\RequestUtils;

require __DIR__ . '/run.php';
serve([
    'middlewares' => 'customization',
    'customization.beforeHandler' => function (string $operation, string $table, $request) {
        if ($operation !== 'list') {
            return null;
        }
        $params = RequestUtils::getParams($request);
        $params['filter'][] = 'tenant,eq,one';

        return RequestUtils::setParams($request, $params);
    },
]);
