<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** The journals of all processes as one, around a violation. */
final class Timeline
{
    /**
     * @param array<string, list<array{int, string, ...}>> $journals
     * @return list<array{int, string, string}> when, whose and what, in order
     */
    public static function around(array $journals, Violation $violation, int $around, int $most): array
    {
        $lines = [];
        foreach ($journals as $who => $journal) {
            foreach ($journal as $line) {
                $time = array_shift($line);
                $about = $violation->key !== '' && in_array($violation->key, $line, true);
                $near = abs($time - $violation->time) <= $around && in_array($who, ['chaos', 'upgrades', $violation->who], true);
                if ($about || $near) {
                    $lines[] = [$time, $who, implode(' ', $line), $about ? 0 : abs($time - $violation->time)];
                }
            }
        }
        // The nearest are shown where there are too many.
        usort($lines, static fn (array $one, array $other): int => $one[3] <=> $other[3]);
        $lines = array_slice($lines, 0, $most);
        usort($lines, static fn (array $one, array $other): int => $one[0] <=> $other[0]);

        return array_map(static fn (array $line): array => array_slice($line, 0, 3), $lines);
    }
}
