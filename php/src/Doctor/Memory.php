<?php

declare(strict_types=1);

namespace Sse\Doctor;

/** The memory that a process may have: the machine's, or less where its control group has a limit. */
final class Memory
{
    /** In bytes; null: not known. */
    public static function limit(int $pid): ?int
    {
        $limits = [];
        if (preg_match('/^MemTotal:\s+(\d+) kB/m', (string) @file_get_contents('/proc/meminfo'), $total)) {
            $limits[] = 1024 * (int) $total[1];
        }
        if (preg_match('/^0::(\S+)/m', (string) @file_get_contents("/proc/$pid/cgroup"), $group)) {
            // A group has at most what each of those around it has.
            for ($path = $group[1]; $path !== '/' && $path !== '.'; $path = dirname($path)) {
                $most = trim((string) @file_get_contents("/sys/fs/cgroup$path/memory.max"));
                if (ctype_digit($most)) {
                    $limits[] = (int) $most;
                }
            }
        }

        return $limits === [] ? null : min($limits);
    }
}
