<?php

declare(strict_types=1);

// To be mounted as it is: see "Ready-made endpoints" in ../README.md, and Sse\Endpoint\Site for what it needs to know.
require __DIR__ . '/autoload.php';

Sse\Endpoint\Endpoint::dashboard();
