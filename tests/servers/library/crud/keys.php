<?php

declare(strict_types=1);

// Two tenants by API key, and an operator who sees all; rules of every kind.
require __DIR__ . '/run.php';
$operator = fn (): bool => ($_SESSION['apiKey'] ?? '') === 'operator';
serve([
    'middlewares' => 'cors,apiKeyAuth,authorization,multiTenancy,customization',
    'cors.allowedOrigins' => 'https://app.example',
    'apiKeyAuth.keys' => 'one,two,junior,operator',
    'authorization.tableHandler' => fn (string $operation, string $table) => $table !== 'audits' || $operator(),
    'authorization.columnHandler' => fn (string $operation, string $table, string $column) =>
        $column !== 'secret' || ($operation === 'update' && $operator()),
    // The junior of tenant one may do something to posts only that nobody has clicked on.
    'authorization.recordHandler' => fn (string $operation, string $table) => match (true) {
        $operator() => '',
        $table === 'articles' => 'filter=published,ge,1',
        $table === 'posts' && $_SESSION['apiKey'] === 'junior' => 'filter=clicks,eq,0',
        default => '',
    },
    'multiTenancy.handler' => fn (string $operation, string $table) => $table === 'posts' && !$operator()
        ? ['tenant' => $_SESSION['apiKey'] === 'junior' ? 'one' : $_SESSION['apiKey']]
        : [],
    'customization.afterHandler' => fn (string $operation, string $table, $response) =>
        $response->withHeader('X-Site', 'own'),
], reauthorize: 1, handlersHideRows: false);
