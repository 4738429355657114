<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

use Sse\Stats;
use SseException;

/**
 * What the dashboard shows of the hub: its figures, who watches its busiest topics, the end of its log.
 *
 * @internal
 */
final class Figures
{
    /** Most topics whose watchers are counted; each is a question to the hub. */
    private const TOPICS = 10;
    /** Seconds after which no more is asked. */
    private const PATIENCE = 0.25;

    public static function now(): string
    {
        $begin = microtime(true);
        $stats = Stats::ofHub();
        $answered = microtime(true);

        return Json::of([
            // When the hub said so, in milliseconds.
            'at' => round(1000 * $answered),
            'answer_ms' => round(1000 * ($answered - $begin), 3),
            'stats' => $stats->figures,
            'watchers' => (object) self::watchers($stats, $answered + self::PATIENCE),
            'log' => LogTail::of($stats),
        ]);
    }

    /** @return array<string, int> streams of this machine, by topic */
    private static function watchers(Stats $stats, float $deadline): array
    {
        $busiest = $stats->at('busiest.topics');
        $watchers = [];
        foreach (array_slice(is_array($busiest) ? $busiest : [], 0, self::TOPICS) as $row) {
            $topic = is_array($row) ? $row['topic'] ?? null : null;
            // A notification may be of all topics.
            if (!is_string($topic) || $topic === '**') {
                continue;
            }
            if (microtime(true) > $deadline) {
                break;
            }
            try {
                $watchers[$topic] = \sse_watchers($topic, local: true);
            } catch (SseException) {
                // It is busy; without this number the rest is as good.
                break;
            }
        }

        return $watchers;
    }
}
