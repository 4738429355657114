<?php

declare(strict_types=1);

// Publishes at a steady pace to what loop.php asks: inserts rows. Data and arguments are as those of paced.php.
//
// usage: php loop-paced.php DATABASE TOPIC FIRST EVENTS RATE BYTES

[, $file, $topic, $first, $events, $rate, $bytes] = $argv;
$database = new PDO("sqlite:$file", options: [PDO::ATTR_TIMEOUT => 5]);
$insert = $database->prepare('INSERT INTO event (topic, data) VALUES (?, ?)');
$begin = hrtime(true);
for ($number = 0; $number < (int) $events; $number++) {
    if ((int) $rate > 0) {
        $wait = $begin + intdiv($number * 1_000_000_000, (int) $rate) - hrtime(true);
        usleep(max(0, intdiv($wait, 1000)));
    }
    $insert->execute([$topic, str_pad((int) $first + $number . ' ' . hrtime(true) . ' ', (int) $bytes, 'x')]);
}
