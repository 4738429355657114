<?php

declare(strict_types=1);

namespace Sse;

use SseException;
use SseUnavailable;

/**
 * Whether streams can be opened and events published on this machine now: for a load balancer, Kubernetes or a monitor.
 *
 * ```php
 * $health = Health::check();
 * http_response_code($health->ready ? 200 : 503);
 * ```
 */
final class Health
{
    /** A part of the streams that there is room for, above which no more should be sent here: of 100. */
    private const FULL = 98;

    /**
     * @param bool                  $live    Whether a hub answers. If not for long, it is to be ended, or PHP restarted.
     * @param bool                  $ready   Whether streams can be opened here and what is published arrives.
     * @param array<string, string> $reasons Why it is not ready, a sentence for the log, by a name that any caller may see: `hub`
     *                                       (none, or it does not answer), `bus` (Redis is away), `history` (its file can't be
     *                                       written), `full` (there is no room for more streams).
     */
    private function __construct(
        public readonly bool $live,
        public readonly bool $ready,
        public readonly array $reasons,
    ) {
    }

    /** @param bool $start Whether to start a hub where none runs, as a stream would. */
    public static function check(bool $start = true): self
    {
        try {
            $stats = Stats::ofHub($start);
        } catch (SseUnavailable $problem) {
            return new self(false, false, ['hub' => $problem->getMessage()]);
        } catch (SseException) {
            // It answers, though not this: the hub is another user's, who has opened it to this process's group.
            return new self(true, true, []);
        }
        $reasons = [];
        if ($stats->at('bus') !== null && $stats->text('bus.state') !== 'connected') {
            $reasons['bus'] = 'the Redis of sse.bus: ' . ($stats->text('bus.problem') ?? 'not connected yet');
        }
        $problem = $stats->text('history.file.problem');
        if ($problem !== null) {
            $reasons['history'] = "the file of sse.history: $problem";
        }
        $open = $stats->number('streams.open') ?? 0;
        $most = $stats->number('settings.max_streams') ?? 0;
        $limit = $stats->at('processes') === null ? $stats->number('descriptor_limit') ?? 0 : 0;
        $room = min(array_filter([$most, $limit], static fn (int $number): bool => $number > 0) ?: [PHP_INT_MAX]);
        if ($open >= $room / 100 * self::FULL) {
            $reasons['full'] = "$open streams are open, and there is room for $room";
        }

        return new self(true, $reasons === [], $reasons);
    }
}
