<?php

declare(strict_types=1);

// Composer's loader, unless the site has loaded it already: that of the site which has this library in vendor/, or of
// the folder above the document root, for a library that Composer has only linked to. A plain clone has neither: there
// the library loads its own classes.
(static function (): void {
    if (!class_exists(Sse\Endpoint\Endpoint::class)) {
        $folders = [dirname(__DIR__, 3), dirname(__DIR__, 4), dirname(__DIR__) . '/vendor'];
        if (($_SERVER['DOCUMENT_ROOT'] ?? '') !== '') {
            $folders[] = dirname($_SERVER['DOCUMENT_ROOT']) . '/vendor';
        }
        foreach ($folders as $folder) {
            if (is_file("$folder/autoload.php")) {
                require_once "$folder/autoload.php";
                if (class_exists(Sse\Endpoint\Endpoint::class)) {
                    break;
                }
            }
        }
    }
    if (!class_exists(Sse\Endpoint\Endpoint::class)) {
        spl_autoload_register(static function (string $class): void {
            $file = dirname(__DIR__) . '/src/' . strtr(substr($class, 4), '\\', '/') . '.php';
            if (str_starts_with($class, 'Sse\\') && is_file($file)) {
                require $file;
            }
        });
    }
    // Composer loads these with its loader; another loader of classes has not. They are beside the classes that it found.
    $source = dirname((string) (new ReflectionClass(Sse\Endpoint\Endpoint::class))->getFileName(), 2);
    require_once "$source/Polyfill/load.php";
    require_once "$source/Mercure/functions.php";
    require_once "$source/functions.php";
})();
