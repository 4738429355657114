<?php

declare(strict_types=1);

// Composer's loader: in vendor/php-sse/php-sse/endpoints, or where the library itself is the project. Otherwise the site's
// own, if it has one already (auto_prepend_file).
foreach ([dirname(__DIR__, 3) . '/autoload.php', dirname(__DIR__) . '/vendor/autoload.php'] as $file) {
    if (is_file($file)) {
        require_once $file;
        break;
    }
}
