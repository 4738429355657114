<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What may make a gap. */
final class Excuses
{
    /** Nanoseconds after a full disk has room again, until a hub that began meanwhile must have read the history's file. */
    private const READ_AGAIN = 3_000_000_000;

    /** Nanoseconds after Redis is there again, until every hub has noticed. */
    private const CONNECTED = 8_000_000_000;

    /**
     * @param list<array{int, string, ...}> $chaos the chaos loop's journal
     * @return callable(int, int, bool): bool whether something happened, between when the reader's id was true and when it
     *     was told of the gap, that excuses it; the last: whether the reader had just come
     */
    public static function of(string $excuse, array $chaos): callable
    {
        $deaths = $full = $restarts = $away = [];
        foreach ($chaos as $line) {
            match ($line[1]) {
                'hub-gone' => $deaths[] = [(int) $line[3], $line[0]],
                'fill-disk' => $full[] = [$line[0], PHP_INT_MAX],
                'free-disk' => $full[array_key_last($full)][1] = $line[0] + self::READ_AGAIN,
                'redis-new' => $restarts[] = [(int) $line[2], $line[0] + self::CONNECTED],
                'redis-back' => $away[] = [(int) $line[2], $line[0] + self::CONNECTED],
                default => null,
            };
        }
        $any = static function (array $spans, int $from, int $to): bool {
            foreach ($spans as [$begin, $end]) {
                if ($from <= $end && $begin <= $to) {
                    return true;
                }
            }

            return false;
        };

        return static fn (int $from, int $to, bool $new): bool => match ($excuse) {
            Scenario::HUB_DIED => $any($deaths, $from, $to),
            Scenario::DISK_FULL => $any($deaths, $from, $to) && $any($full, $to, $to),
            Scenario::REDIS => $any($restarts, $from, $to) || ($new && $any([...$away, ...$restarts], $to, $to)),
            Scenario::FORGOTTEN => true,
            Scenario::NEVER => false,
        };
    }
}
