<?php

declare(strict_types=1);

namespace Sse;

/**
 * Base64 for URLs, "with all trailing '=' characters omitted" (RFC 7515, 2).
 *
 * @internal
 */
final class Base64
{
    public static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    /** The bytes of a text; null if it is none. */
    public static function decode(string $text): ?string
    {
        if (preg_match('/^[A-Za-z0-9_-]+$/D', $text) !== 1) {
            return null;
        }
        $bytes = base64_decode(strtr($text, '-_', '+/'), true);

        return $bytes === false ? null : $bytes;
    }
}
