<?php

declare(strict_types=1);

namespace App;

use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Exceptions\Handler;

/** A Laravel application as a new one is, which keeps all that it writes in a folder of its name beside the logs. */
final class LaravelSite
{
    public static function in(string $folder): Application
    {
        require __DIR__ . '/LaravelKernel.php';
        $storage = dirname(__DIR__, 2) . '/log/' . basename($folder);
        foreach (['cache', 'sessions', 'views'] as $name) {
            is_dir("$storage/framework/$name") || mkdir("$storage/framework/$name", 0o700, true);
        }
        // What `composer install` leaves in bootstrap/cache.
        $_ENV['APP_PACKAGES_CACHE'] = "$storage/packages.php";
        $_ENV['APP_SERVICES_CACHE'] = "$storage/services.php";

        $app = new Application($folder);
        $app->useStoragePath($storage);
        $app->singleton(Kernel::class, LaravelKernel::class);
        $app->singleton(ExceptionHandler::class, Handler::class);

        return $app;
    }
}
