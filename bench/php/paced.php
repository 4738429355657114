<?php

declare(strict_types=1);

// Publishes at a steady pace; what `sse-bench publish` is for other servers. The data of each event is
// `SEQUENCE NANOSECONDS xxx…`: its number, and CLOCK_MONOTONIC when it was published.
//
// usage: php paced.php TOPIC FIRST EVENTS RATE BYTES
//   FIRST   the number of the first event
//   RATE    events a second; 0: as fast as they are taken

[, $topic, $first, $events, $rate, $bytes] = $argv;
$begin = hrtime(true);
for ($number = 0; $number < (int) $events; $number++) {
    if ((int) $rate > 0) {
        // By the plan, not by the last event: what takes long once is not put off for all the rest.
        $wait = $begin + intdiv($number * 1_000_000_000, (int) $rate) - hrtime(true);
        usleep(max(0, intdiv($wait, 1000)));
    }
    sse_publish($topic, str_pad((int) $first + $number . ' ' . hrtime(true) . ' ', (int) $bytes, 'x'));
}
