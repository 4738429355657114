<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What may make a gap. */
final class Excuses
{
    /**
     * @param list<array{int, string, ...}> $chaos the chaos loop's journal
     * @return callable(int, int): bool whether something happened, between two times, that excuses a gap
     */
    public static function of(string $excuse, array $chaos): callable
    {
        $spans = [];
        foreach ($chaos as $line) {
            if ($line[1] === 'hub-gone' && $excuse === Scenario::HUB_DIED) {
                $spans[] = [(int) $line[3], $line[0]];
            }
        }

        return static function (int $from, int $to) use ($spans): bool {
            foreach ($spans as [$begin, $end]) {
                if ($from <= $end && $begin <= $to) {
                    return true;
                }
            }

            return false;
        };
    }
}
