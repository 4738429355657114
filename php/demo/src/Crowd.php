<?php

declare(strict_types=1);

namespace Demo;

/** One process on this machine that opens many streams as any client does, for a minute at most. */
final class Crowd
{
    public const STREAMS = 200;
    public const SECONDS = 60;

    public static function mayOpen(): bool
    {
        return Background::mayStart();
    }

    public static function isOpen(): bool
    {
        return self::process()->isRunning();
    }

    /** Starts the process, unless there is one. */
    public static function open(string $room, int $seconds): bool
    {
        $id = bin2hex(random_bytes(8));
        return self::process()->start($id, [$_SERVER['SERVER_PORT'], $room, self::STREAMS, $seconds]) === $id;
    }

    /** Ends the process, and its streams with it. */
    public static function close(): void
    {
        self::process()->end();
    }

    private static function process(): Background
    {
        return new Background('crowd-client');
    }
}
