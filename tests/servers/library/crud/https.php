<?php

declare(strict_types=1);

// A site that sends everybody to https.
require __DIR__ . '/run.php';
serve(['middlewares' => 'sslRedirect']);
