<?php

declare(strict_types=1);

// apiKeyDbAuth: keys that are in the database, and can be taken away there. Asked again at events only.
require __DIR__ . '/run.php';
serve(['middlewares' => 'apiKeyDbAuth', 'apiKeyDbAuth.usersTable' => 'users'], reauthorize: 0);
