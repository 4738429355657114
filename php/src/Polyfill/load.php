<?php

declare(strict_types=1);

// Composer loads this file in each request. With the extension, or another copy of the library, there is nothing to do.
if (!extension_loaded('sse') && !function_exists('sse_publish')) {
    require_once __DIR__ . '/classes.php';
    require_once __DIR__ . '/functions.php';
}
