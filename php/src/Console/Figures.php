<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Stats;

/** The hub's figures, for people. */
final class Figures
{
    /** What `sse stats --watch` shows, and of which of them the rate is what counts. */
    private const SHOWN = [
        'streams.open' => false,
        'streams.opened' => true,
        'published' => true,
        'published_unwatched' => true,
        'delivered' => true,
        'delivered_bytes' => true,
        'triggers' => true,
        'heartbeats' => true,
        'queued_bytes' => false,
        'history.events' => false,
        'presence.members' => false,
        'renders.running' => false,
        'renders.queued' => false,
        'renders.done' => true,
        'renders.failed' => true,
        'connections' => false,
        'resident_bytes' => false,
    ];

    /**
     * A row for each figure, named `streams.open` and so on.
     *
     * @param array<array-key, mixed> $figures
     *
     * @return list<array{string, string}>
     */
    public static function rows(array $figures, string $prefix = ''): array
    {
        $rows = [];
        foreach ($figures as $name => $figure) {
            if (is_array($figure)) {
                array_push($rows, ...self::rows($figure, "$prefix$name."));
            } else {
                $rows[] = [$prefix . $name, is_scalar($figure) ? var_export($figure, true) : '-'];
            }
        }

        return $rows;
    }

    /**
     * Name, value, and what has come in each second since the figures before.
     *
     * @return list<array{string, string, string}>
     */
    public static function rates(Stats $now, ?Stats $before, float $seconds): array
    {
        $rows = [];
        foreach (self::SHOWN as $name => $isCounter) {
            $value = $now->number($name);
            if ($value === null) {
                continue;
            }
            $more = $value - ($before?->number($name) ?? 0);
            $rate = $isCounter && $seconds > 0.0 && $before !== null ? number_format($more / $seconds, 1) : '';
            $rows[] = [$name, number_format($value), $rate];
        }

        return $rows;
    }
}
