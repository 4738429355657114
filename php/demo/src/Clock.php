<?php

declare(strict_types=1);

namespace Demo;

/** Milliseconds since 1970 that only go forward within a request: the wall clock read once, and PHP's hrtime() from there. */
final class Clock
{
    private static float $began;
    private static int $counter;

    public static function begin(): void
    {
        self::$counter = hrtime(true);
        self::$began = microtime(true) * 1000;
    }

    /** When the script began. */
    public static function began(): float
    {
        return self::$began;
    }

    public static function now(): float
    {
        return round(self::$began + (hrtime(true) - self::$counter) / 1e6, 3);
    }
}
