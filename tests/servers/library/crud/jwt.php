<?php

declare(strict_types=1);

// jwtAuth: a signed token in each request.
require __DIR__ . '/run.php';
serve([
    'middlewares' => 'jwtAuth,multiTenancy',
    'jwtAuth.secrets' => 'the-secret-of-the-tokens-of-this-test',
    'multiTenancy.handler' => fn (string $operation, string $table) =>
        $table === 'posts' ? ['tenant' => $_SESSION['claims']['sub'] ?? ''] : [],
]);
