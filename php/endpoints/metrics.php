<?php

declare(strict_types=1);

// To be mounted as it is: see "Ready-made endpoints" in ../README.md, and Sse\Endpoint\Site for who may read it.
require __DIR__ . '/autoload.php';

Sse\Endpoint\Endpoint::metrics();
