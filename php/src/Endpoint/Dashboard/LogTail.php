<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

use Sse\Stats;

/**
 * The end of the hub's log.
 *
 * @internal
 */
final class LogTail
{
    /** Most lines, and most bytes of the file that are read. */
    private const LINES = 40;
    private const BYTES = 8192;

    /** @return array{lines: list<string>, problem: string|null} */
    public static function of(Stats $stats): array
    {
        $path = $stats->text('settings.log') ?? ((string) $stats->text('settings.socket')) . '.log';
        // Opening a pipe would wait for its other end.
        $file = is_file($path) ? @fopen($path, 'r') : false;
        if ($file === false) {
            $problem = is_file($path)
                ? "$path can't be read by this process: " . (error_get_last()['message'] ?? '')
                : "there is no file $path: a hub in the foreground writes to standard error, unless sse.log is set";

            return ['lines' => [], 'problem' => $problem];
        }
        $size = fstat($file)['size'] ?? 0;
        fseek($file, max(0, $size - self::BYTES));
        $text = (string) stream_get_contents($file, self::BYTES);
        fclose($file);
        $lines = explode("\n", rtrim($text, "\n"));
        if ($size > self::BYTES) {
            // Its beginning was not read.
            array_shift($lines);
        }

        return ['lines' => array_slice(array_values(array_diff($lines, [''])), -self::LINES), 'problem' => null];
    }
}
