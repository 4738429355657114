<?php

declare(strict_types=1);

// Streams `topics` with the user `id`, who is told of others if `events` is set; with `ask`, tells who is on that topic.
if (isset($_GET['ask'])) {
    header('Content-Type: application/json');
    echo json_encode([
        'members' => sse_presence($_GET['ask'], $_GET['after'] ?? null, (int) ($_GET['limit'] ?? 1000)),
        'count' => sse_presence_count($_GET['ask']),
    ], JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION);

    return;
}
$options = isset($_GET['events']) ? ['presence_events' => true] : [];
if (isset($_GET['id'])) {
    $options['presence'] = ['id' => $_GET['id'], 'info' => ['name' => strtoupper($_GET['id'])]];
}
$render = isset($_GET['render']) ? static fn (array $events): string => (string) json_encode(
    array_map(static fn (SseEvent $event): array => [$event->topic, $event->event, $event->data], $events),
) : null;
sse_stream(explode(',', $_GET['topics']), $render, $options);
