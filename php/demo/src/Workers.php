<?php

declare(strict_types=1);

namespace Demo;

/** PHP's workers, as far as the server that runs them tells. */
final class Workers
{
    /** @return array{workers: int, busy: int|null} without the one that asks; null: the server does not tell */
    public static function now(): array
    {
        if (function_exists('fpm_get_status')) {
            $pool = fpm_get_status();
            return ['workers' => $pool['total-processes'], 'busy' => max(0, $pool['active-processes'] - 1)];
        }
        $workers = max(1, (int) getenv('PHP_CLI_SERVER_WORKERS'));
        // The only worker does nothing else while it answers. Of others PHP's own server knows nothing.
        return ['workers' => $workers, 'busy' => $workers === 1 ? 0 : null];
    }
}
