<?php

declare(strict_types=1);

// usage: php subscribe.php TIMEOUT TOPIC...
// Prints "ready", and then each event of the topics as a line of JSON, until nothing came for TIMEOUT seconds.
$subscription = new SseSubscription(array_slice($argv, 2), ['timeout' => (float) $argv[1]]);
echo "ready\n";
foreach ($subscription as $event) {
    echo json_encode([
        'topic' => $event->topic,
        'id' => $event->id,
        'event' => $event->event,
        'data' => $event->data,
        'trigger' => $event->isTrigger,
    ], JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
}
echo "over\n";
