<?php

declare(strict_types=1);

use Sse\Mercure\Publisher;

if (!function_exists('mercure_publish')) {
    /**
     * Publishes an update, as FrankenPHP's function of this name does: see {@see Publisher::publish()}.
     *
     * @param string|array<string> $topics
     *
     * @throws SseException As of that method.
     */
    function mercure_publish(
        string|array $topics,
        string $data = '',
        bool $private = false,
        ?string $id = null,
        ?string $type = null,
        ?int $retry = null,
    ): string {
        return (new Publisher())->publish($topics, $data, $private, $id, $type, $retry);
    }
}
