<?php

declare(strict_types=1);

// Watches the topic that a file names. While the first callback on another topic runs, that topic changes.
$folder = dirname(__DIR__, 2) . '/data';
$topic = trim((string) file_get_contents("$folder/topic"));
sse_stream($topic, static function () use ($folder, $topic): string {
    $state = (string) file_get_contents("$folder/state");
    if ($topic !== 'one' && $state === 'old') {
        file_put_contents("$folder/state", 'new');
        SseTrigger::push($topic);
    }

    return "$topic: $state";
});
