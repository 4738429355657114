<?php

declare(strict_types=1);

// dbAuth: a login with a session.
require __DIR__ . '/run.php';
serve([
    'middlewares' => 'dbAuth,authorization,multiTenancy',
    'dbAuth.returnedColumns' => 'id,username',
    'dbAuth.sessionName' => 'SITE',
    'authorization.tableHandler' => fn (string $operation, string $table) => $table !== 'users',
    'multiTenancy.handler' => fn (string $operation, string $table) =>
        $table === 'posts' ? ['tenant' => $_SESSION['user']['username'] ?? ''] : [],
]);
