<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** Names that nothing else has. */
final class Urn
{
    /** A new UUID of the fourth version: "set all the other bits to randomly … chosen values" (RFC 9562). */
    public static function random(): string
    {
        $bytes = random_bytes(16);
        $bytes[6] = chr(ord($bytes[6]) & 0x0F | 0x40);
        $bytes[8] = chr(ord($bytes[8]) & 0x3F | 0x80);

        return 'urn:uuid:' . vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
    }
}
