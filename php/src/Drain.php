<?php

declare(strict_types=1);

namespace Sse;

use SseException;
use SseInvalidArgument;
use SseUnavailable;

/**
 * Ends the streams of this machine's hub, spread evenly over a time, so that their clients do not reach the other machines at
 * once. To be called when the load balancer sends no new clients here any more.
 *
 * ```php
 * $drain = Drain::run(30.0);
 * echo "$drain->ended ended, $drain->left left\n";
 * ```
 */
final class Drain
{
    /** Seconds between the ends of a few streams. */
    private const TICK = 0.05;
    /** Seconds between two looks at what is left. */
    private const LOOK = 0.25;
    /** Streams that the hub is asked for at once. */
    private const PAGE = 1000;
    /** Seconds for clients that have not read what is sent to them before the end. */
    private const PATIENCE = 5.0;

    /**
     * @param int   $ended   How many streams were ended.
     * @param int   $left    How many are open at the end: those that came meanwhile, and those whose clients do not read.
     * @param float $seconds How long it took.
     */
    private function __construct(
        public readonly int $ended,
        public readonly int $left,
        public readonly float $seconds,
    ) {
    }

    /**
     * Streams of PHP processes (SseSubscription) go on.
     *
     * Never ends more at once than is due in a moment: when this process had to wait, the whole takes longer.
     *
     * @param float    $over  Seconds over which the ends are spread, from 0 on.
     * @param int|null $retry Reconnection time that the clients are told first, in milliseconds; null: they keep theirs.
     *
     * @throws SseInvalidArgument A parameter breaks a rule.
     * @throws SseUnavailable     No hub runs, or it does not answer.
     * @throws SseException       This process belongs to another user than the hub.
     */
    public static function run(float $over = 30.0, ?int $retry = null): self
    {
        $begin = microtime(true);
        $ids = self::clients();
        $ended = self::end($ids, $over, $retry);
        // Those that came before the load balancer had sent the last one here.
        $late = array_values(array_diff(self::clients(), $ids));
        $ended += self::end($late, $ids === [] ? 0.0 : $over * count($late) / count($ids), $retry);
        $until = microtime(true) + self::PATIENCE;
        while (($left = count(self::clients())) > 0 && microtime(true) < $until) {
            self::pauseUntil(microtime(true) + self::LOOK);
        }

        return new self($ended, $left, microtime(true) - $begin);
    }

    /**
     * @param list<string> $ids
     *
     * @return int How many were still open.
     */
    private static function end(array $ids, float $over, ?int $retry): int
    {
        $count = count($ids);
        $batch = max(1, (int) ceil($count * self::TICK / max($over, self::TICK)));
        $ended = 0;
        $begin = microtime(true);
        foreach (array_chunk($ids, $batch) as $number => $some) {
            if ($number > 0) {
                // Also when that is too late: those that are due then are not made up for.
                self::pauseUntil($begin + $over * $batch / $count);
            }
            $begin = microtime(true);
            foreach ($some as $id) {
                $ended += \sse_disconnect(stream: $id, retry: $retry) ?? 0;
            }
        }

        return $ended;
    }

    /** @return list<string> The public ids of all streams but those of PHP processes. */
    private static function clients(): array
    {
        // Starts no hub where the one has ended meanwhile.
        Stats::ofHub();
        $ids = [];
        $last = null;
        do {
            $page = \sse_streams(after: $last, limit: self::PAGE);
            foreach ($page as $id => $stream) {
                $last = (string) $id;
                if ($stream['framing'] !== 'php' || $stream['address'] !== null) {
                    $ids[] = $last;
                }
            }
        } while (count($page) === self::PAGE);

        return $ids;
    }

    private static function pauseUntil(float $time): void
    {
        usleep(max(0, (int) (($time - microtime(true)) * 1e6)));
    }
}
