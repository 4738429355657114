<?php

declare(strict_types=1);

// What a sleep of no time costs an ordinary page, in nanoseconds a call: the least of several rounds.
header('Content-Type: application/json');
header('Cache-Control: private');
header('X-Page: an ordinary one');

$cost = static function (callable $round): float {
    $best = INF;
    for ($i = 0; $i < 15; $i++) {
        $before = hrtime(true);
        $round();
        $best = min($best, (hrtime(true) - $before) / 50_000);
    }

    return $best;
};
echo json_encode([
    'sleep(0)' => $cost(static function (): void {
        for ($i = 0; $i < 50_000; $i++) {
            sleep(0);
        }
    }),
    'usleep(0)' => $cost(static function (): void {
        for ($i = 0; $i < 50_000; $i++) {
            usleep(0);
        }
    }),
], JSON_THROW_ON_ERROR);
