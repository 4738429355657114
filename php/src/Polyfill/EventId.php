<?php

declare(strict_types=1);

namespace Sse\Polyfill;

/** Ids as the hub's, `milliseconds-sequence`, and the number that stands for one in the file. */
final class EventId
{
    private const BITS = 20;

    /** The first number of this millisecond. */
    public static function now(): int
    {
        return (int) (microtime(true) * 1000) << self::BITS;
    }

    public static function text(int $number): string
    {
        return ($number >> self::BITS) . '-' . ($number & ((1 << self::BITS) - 1));
    }

    /** The number of an id; null if it is none of the hub's. */
    public static function parse(string $id): ?int
    {
        if (preg_match('/^(\d{13})-(\d{1,7})$/D', $id, $parts) !== 1 || (int) $parts[2] >= 1 << self::BITS) {
            return null;
        }

        return ((int) $parts[1] << self::BITS) + (int) $parts[2];
    }

    /** The number of this time, less so many seconds. */
    public static function before(int $seconds): int
    {
        return self::now() - ($seconds * 1000 << self::BITS);
    }
}
