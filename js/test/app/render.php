<?php

declare(strict_types=1);

// A stream with a callback, whose events have no topics.
$topics = explode(',', $_GET['topics'] ?? '');
sse_stream($topics, static fn (array $events) => ['woken' => array_map(static fn (SseEvent $e) => $e->topic, $events)], [
    'event' => 'state',
    'retry' => 100,
]);
