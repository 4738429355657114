<?php

declare(strict_types=1);

namespace PhpSse\Tests\Support;

/** What /proc says about processes. */
final class Proc
{
    /** A process whose main thread has ended has its sockets until all of its threads have. */
    public static function isAlive(int $pid): bool
    {
        return match (self::stat($pid)[0] ?? 'X') {
            'X' => false,
            'Z' => count(glob("/proc/$pid/task/*") ?: []) > 1,
            default => true,
        };
    }

    /**
     * Runs something while a process is stopped. The signal alone is not enough: a busy machine takes a while to stop all of
     * its threads.
     *
     * @template T
     * @param callable(): T $action
     * @return T
     */
    public static function whileStopped(int $pid, callable $action): mixed
    {
        posix_kill($pid, SIGSTOP);
        try {
            $threads = static fn (): array => array_map(
                static fn (string $file): string => preg_match('/\) (\S)/', (string) file_get_contents($file), $state)
                    ? $state[1]
                    : '?',
                glob("/proc/$pid/task/*/stat") ?: [],
            );
            Deadline::until(static fn (): bool => array_unique($threads()) === ['T'], 10.0, "process $pid is stopped");

            return $action();
        } finally {
            posix_kill($pid, SIGCONT);
        }
    }

    /** @return list<int> the living direct children */
    public static function children(int $pid): array
    {
        return array_values(array_filter(
            self::all(),
            static fn (int $one): bool => (int) (self::stat($one)[1] ?? 0) === $pid && self::isAlive($one),
        ));
    }

    /** @return list<string> where the process's descriptors point to, sorted, without their numbers */
    public static function descriptors(int $pid): array
    {
        $targets = [];
        foreach (@scandir("/proc/$pid/fd") ?: [] as $fd) {
            $target = $fd[0] === '.' ? false : @readlink("/proc/$pid/fd/$fd");
            if ($target !== false) {
                $targets[] = $target;
            }
        }
        sort($targets);

        return $targets;
    }

    /** @return int resident memory of its own (not of files) in KiB */
    public static function memory(int $pid): int
    {
        preg_match('/^RssAnon:\s+(\d+) kB/m', (string) @file_get_contents("/proc/$pid/status"), $found);

        return (int) ($found[1] ?? 0);
    }

    public static function title(int $pid): string
    {
        return trim(str_replace("\0", ' ', (string) @file_get_contents("/proc/$pid/cmdline")));
    }

    public static function name(int $pid): string
    {
        return trim((string) @file_get_contents("/proc/$pid/comm"));
    }

    public static function isHub(int $pid): bool
    {
        return str_starts_with(self::title($pid), 'sse-hub') || self::name($pid) === 'sse-hub';
    }

    /** @return list<int> the processes that hold the listening Unix socket of this path */
    public static function listenersOn(string $path): array
    {
        $listening = [];
        foreach (file('/proc/net/unix', FILE_IGNORE_NEW_LINES) ?: [] as $line) {
            $fields = preg_split('/\s+/', $line, 8);
            // The flag is __SO_ACCEPTCON: bound and listening, unlike the accepted ones of the same path.
            if (($fields[7] ?? '') === $path && $fields[3] === '00010000') {
                $listening[] = "socket:[{$fields[6]}]";
            }
        }

        return $listening === [] ? [] : array_values(array_filter(
            self::all(),
            static fn (int $pid): bool => array_intersect($listening, self::descriptors($pid)) !== [],
        ));
    }

    /** @return list<int> */
    private static function all(): array
    {
        return array_map('intval', array_filter(scandir('/proc') ?: [], 'ctype_digit'));
    }

    /** @return list<string> the fields of /proc/PID/stat from the state on; none when the process is gone */
    private static function stat(int $pid): array
    {
        $stat = (string) @file_get_contents("/proc/$pid/stat");

        // The name before them may hold spaces and parentheses.
        return $stat === '' ? [] : explode(' ', substr($stat, (int) strrpos($stat, ')') + 2));
    }
}
