<?php

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    // The tests, and the library for those of its parts that need no server.
    $folders = [
        'PhpSse\\Tests\\Soak\\' => dirname(__DIR__) . '/soak',
        'PhpSse\\Tests\\Support\\' => __DIR__ . '/support',
        'PhpSse\\Tests\\' => __DIR__ . '/support',
        'Sse\\' => dirname(__DIR__, 2) . '/php/src',
    ];
    foreach ($folders as $prefix => $folder) {
        $file = $folder . '/' . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;

            return;
        }
    }
});
