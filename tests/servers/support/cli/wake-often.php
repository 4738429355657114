<?php

declare(strict_types=1);

// usage: php wake-often.php TOPIC COUNT FILE
// Writes 1, 2, … COUNT to the file and wakes the topic after each, as fast as the hub takes it.
[, $topic, $count, $file] = $argv;
for ($number = 1; $number <= (int) $count; $number++) {
    file_put_contents("$file.new", (string) $number);
    rename("$file.new", $file);
    // Taken means that the hub will see it; a hub that is behind is asked again.
    for ($turn = 0; !SseTrigger::push($topic) && $turn < 10_000; $turn++) {
        usleep(1000);
    }
}
