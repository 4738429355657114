<?php

declare(strict_types=1);

// Another script that does the same.
require __DIR__ . '/page.php';
