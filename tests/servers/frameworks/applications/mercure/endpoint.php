<?php

declare(strict_types=1);

// What is mounted at /.well-known/mercure.
require dirname(__DIR__) . '/autoload.php';

Sse\Mercure\Endpoint::run();
