<?php

declare(strict_types=1);

namespace PhpSse\Tests\Support;

/** Waits for conditions; a wait that is not over in time fails with what was seen last. */
final class Deadline
{
    /** How many times as long as on a machine of its own a wait may take: nothing is lost by waiting on a busy one. */
    private const PATIENCE = 5;

    /**
     * Asks until the answer is truthy, and returns it.
     *
     * @param callable(): mixed $condition
     * @param float $seconds that a slow machine with nothing else to do may take
     * @param string $what what is waited for, in words: "the hub has ended"
     * @param null|callable(): string $seen tells what was there instead, for the failure's message
     */
    public static function until(callable $condition, float $seconds, string $what, ?callable $seen = null): mixed
    {
        $end = self::in($seconds);
        do {
            $answer = $condition();
            if ($answer) {
                return $answer;
            }
            usleep(5_000);
        } while (microtime(true) < $end);

        self::missed($seconds, $what, $seen === null ? var_export($answer, true) : $seen());
    }

    /** The time at which a wait is over that should take no more than these seconds: of microtime(). */
    public static function in(float $seconds): float
    {
        return microtime(true) + $seconds * self::PATIENCE;
    }

    public static function missed(float $seconds, string $what, string $seen): never
    {
        throw new Missed(sprintf('Not within %.1f s: %s. Seen instead: %s', $seconds * self::PATIENCE, $what, $seen));
    }
}
