<?php

declare(strict_types=1);

// To be mounted at /.well-known/mercure: see docs/guide/mercure.md, and Sse\Mercure\Endpoint for what it needs to know.
require __DIR__ . '/autoload.php';

Sse\Mercure\Endpoint::run();
