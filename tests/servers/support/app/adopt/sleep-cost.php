<?php

declare(strict_types=1);

// What a sleep costs an ordinary page, in nanoseconds a call: the least of several rounds. The kernel makes tens of
// microseconds of a sleep of no time; a time that PHP refuses tells what the call itself costs.
header('Content-Type: application/json');
header('Cache-Control: private');
header('X-Page: an ordinary one');

$refused = static function (): void {
    try {
        sleep(-1);
    } catch (ValueError) {
    }
};
$none = static function (): void {
    usleep(0);
};
$cost = static function (callable $call, int $rounds, int $calls): float {
    $best = INF;
    for ($i = 0; $i < $rounds; $i++) {
        $before = hrtime(true);
        for ($j = 0; $j < $calls; $j++) {
            $call();
        }
        $best = min($best, (hrtime(true) - $before) / $calls);
    }

    return $best;
};
echo json_encode(['refused' => $cost($refused, 100, 5_000), 'none' => $cost($none, 20, 500)], JSON_THROW_ON_ERROR);
