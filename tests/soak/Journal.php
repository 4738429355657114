<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use RuntimeException;

/**
 * What one process did and saw, a line each: nanoseconds of the machine's monotonic clock, a kind, and fields, separated by
 * tabs. A line is with the system when write() returns, so that nothing is lost with a process that is killed.
 *
 * Publishers write `try KEY TOPICS ID NAME HASH MODE` before an attempt, and after it `ok KEY ID` (accepted, with this id),
 * `threw KEY CLASS MESSAGE`, `sent KEY` (mode async or commit: not known) or `dropped KEY` (mode commit: must not arrive).
 * Readers write `connect SINCE HOW`, `open`, `event ID KEY HASH`, `gap DATA`, `closed WHY`, `stalled`, `went-on`, `page ID`,
 * `back ID`, `afresh`, `calm`, `finished`. The chaos loop writes what it did, and `hub-gone HUB BEGIN` for each end of a hub.
 */
final class Journal
{
    /** @var resource */
    private $file;

    public function __construct(string $path)
    {
        $file = fopen($path, 'a');
        if ($file === false) {
            throw new RuntimeException("cannot write $path");
        }
        $this->file = $file;
    }

    public static function now(): int
    {
        return hrtime(true);
    }

    public function write(string $kind, string ...$fields): void
    {
        $fields = str_replace(["\t", "\n"], ' ', $fields);
        fwrite($this->file, implode("\t", [self::now(), $kind, ...$fields]) . "\n");
    }

    /**
     * @return list<array{int, string, ...}> the lines; one that was cut off by the end of its process is left out
     */
    public static function read(string $path): array
    {
        $lines = [];
        foreach (is_file($path) ? file($path) : [] as $line) {
            if (str_ends_with($line, "\n")) {
                $fields = explode("\t", substr($line, 0, -1));
                $fields[0] = (int) $fields[0];
                $lines[] = $fields;
            }
        }

        return $lines;
    }
}
