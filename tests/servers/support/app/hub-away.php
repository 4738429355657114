<?php

declare(strict_types=1);

// Says what calls answer when the hub does not: `calls` of sse_publish() in the mode `mode`, and one SseTrigger::push().
$said = [];
for ($i = 1; $i <= (int) $_GET['calls']; $i++) {
    try {
        $said[] = sse_publish('news', "call $i", mode: $_GET['mode']);
    } catch (SseException $exception) {
        $said[] = $exception::class . ': ' . $exception->getMessage();
    }
}
header('Content-Type: application/json');
echo json_encode(['said' => $said, 'pushed' => SseTrigger::push('news')], JSON_THROW_ON_ERROR);
