<?php

declare(strict_types=1);

// What every script of the demo begins with.
spl_autoload_register(static function (string $class): void {
    $file = __DIR__ . '/' . substr($class, strlen('Demo\\')) . '.php';
    if (str_starts_with($class, 'Demo\\') && is_file($file)) {
        require $file;
    }
});
Demo\Clock::begin();
