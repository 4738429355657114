<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

/**
 * What the dashboard's page gets: untrusted text of clients and publishers is in it, which may not be UTF-8 everywhere.
 *
 * @internal
 */
final class Json
{
    public static function of(mixed $value): string
    {
        return json_encode(
            $value,
            JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE,
        );
    }
}
