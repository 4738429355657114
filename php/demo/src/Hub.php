<?php

declare(strict_types=1);

namespace Demo;

/** The demo's own hub, which may be killed to show what happens then. */
final class Hub
{
    /** Only where php/demo/run says so: the hub is then nobody else's, and the server listens for one machine. */
    public static function mayBeKilled(): bool
    {
        return PHP_SAPI === 'cli-server' && getenv('SSE_DEMO_KILL') === '1' && function_exists('posix_kill')
            && Request::isOfThisMachine();
    }

    /** Ends it at once, as a crash would; it has no time to write or to say anything. */
    public static function kill(): int
    {
        $pid = sse_stats()['pid'];
        if (trim((string) @file_get_contents("/proc/$pid/comm")) !== 'sse-hub' || !posix_kill($pid, 9)) {
            Request::refuse(503, "The process $pid could not be killed.");
        }
        return $pid;
    }
}
