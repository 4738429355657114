<?php

declare(strict_types=1);

$app = require dirname(__DIR__, 2) . '/laravel/config/app.php';

return [
    'name' => 'Chat',
    'providers' => [
        ...$app['providers'],
        Illuminate\Broadcasting\BroadcastServiceProvider::class,
        Illuminate\Bus\BusServiceProvider::class,
        Illuminate\Foundation\Providers\ConsoleSupportServiceProvider::class,
        Illuminate\Notifications\NotificationServiceProvider::class,
        Illuminate\Pipeline\PipelineServiceProvider::class,
        Illuminate\Queue\QueueServiceProvider::class,
        // Composer's package discovery does the same.
        Sse\Laravel\SseServiceProvider::class,
    ],
] + $app;
