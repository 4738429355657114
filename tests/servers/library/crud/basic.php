<?php

declare(strict_types=1);

// basicAuth: name and password in each request.
require __DIR__ . '/run.php';
serve([
    'middlewares' => 'basicAuth,multiTenancy',
    'basicAuth.passwordFile' => dirname(__DIR__, 2) . '/data/passwords',
    'multiTenancy.handler' => fn (string $operation, string $table) =>
        $table === 'posts' ? ['tenant' => $_SESSION['username'] ?? ''] : [],
]);
