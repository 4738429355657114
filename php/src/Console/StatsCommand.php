<?php

declare(strict_types=1);

namespace Sse\Console;

use Sse\Stats;

/** `sse stats`: the hub's figures, once or again and again. */
final class StatsCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'stats',
            'the figures of the hub',
            options: [
                'watch' => 'show the most important ones, and rates, every second until you interrupt it',
                'count=N' => 'with --watch: end after so many times',
            ],
            help: "All of them are explained in docs/reference/statistics.md.",
        );
    }

    public function run(Input $input, Output $output): int
    {
        $count = $input->number('count', 1);
        if ($input->has('watch')) {
            return self::watch($count, $output);
        }
        $stats = Stats::ofHub();
        if ($output->json) {
            $output->json($stats->figures);
        } else {
            $output->table(['figure', 'value'], Figures::rows($stats->figures));
        }

        return 0;
    }

    private static function watch(?int $count, Output $output): int
    {
        [$before, $then] = [null, 0.0];
        $nth = 0;
        do {
            $stats = Stats::ofHub();
            $now = microtime(true);
            if ($output->json) {
                $output->json($stats->figures);
            } else {
                $output->clear();
                $output->table(['figure', 'value', 'per second'], Figures::rates($stats, $before, $now - $then));
            }
            [$before, $then] = [$stats, $now];
        } while (++$nth !== $count && sleep(1) === 0);

        return 0;
    }
}
