<?php

declare(strict_types=1);

namespace Demo;

/** The hub's figures, with what `sse_stats()` can't know: its memory, and what publishing costs. */
final class Figures
{
    /** @return array{at: float, publish_ms: float, memory: int|null, stats: array<string, mixed>} */
    public static function now(): array
    {
        $begin = hrtime(true);
        // Nobody watches this topic. What is measured is the way to the hub, into its history on disk, and back.
        sse_publish('demo.probe', '');
        $publish = round((hrtime(true) - $begin) / 1e6, 3);
        $stats = sse_stats();
        return ['at' => Clock::now(), 'publish_ms' => $publish, 'memory' => self::memory($stats['pid']), 'stats' => $stats];
    }

    /** Bytes that are the hub's alone: as a fork, it shares others with PHP. */
    private static function memory(int $pid): ?int
    {
        $rollup = @file_get_contents("/proc/$pid/smaps_rollup");
        if ($rollup !== false && preg_match_all('/^Private_(?:Clean|Dirty): +(\d+) kB$/m', $rollup, $found) > 0) {
            return 1024 * (int) array_sum($found[1]);
        }
        // Where that is not to be read: what is resident, but for files.
        $pages = explode(' ', (string) @file_get_contents("/proc/$pid/statm"));
        return isset($pages[2]) ? 4096 * ((int) $pages[1] - (int) $pages[2]) : null;
    }
}
