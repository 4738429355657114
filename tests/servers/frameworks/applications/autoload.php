<?php

declare(strict_types=1);

// The library, as Composer's loader has it.
spl_autoload_register(static function (string $class): void {
    $file = dirname(__DIR__, 2) . '/library/' . str_replace('\\', '/', substr($class, 4)) . '.php';
    if (str_starts_with($class, 'Sse\\') && is_file($file)) {
        require $file;
    }
});
