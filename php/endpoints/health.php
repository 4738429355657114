<?php

declare(strict_types=1);

// To be mounted as it is: see "Ready-made endpoints" in ../README.md. It needs no file of the site.
require __DIR__ . '/autoload.php';

Sse\Endpoint\Endpoint::health();
