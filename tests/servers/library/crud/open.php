<?php

declare(strict_types=1);

// Without any rule, as PHP-CRUD-API is by default.
require __DIR__ . '/run.php';
serve([]);
