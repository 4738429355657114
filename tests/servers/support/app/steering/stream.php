<?php

declare(strict_types=1);

// Streams `topics` with the stream's public id told; with `render`, by a callback that says what it knows of it.
$render = static fn (array $events, ?string $stream = null): array => [
    'stream' => $stream,
    'replay' => sse_render()['stream_id'] ?? null,
    'events' => array_map(static fn (SseEvent $event): string => $event->topic . ' ' . $event->data, $events),
];
$options = array_intersect_key($_GET, ['user' => 1, 'topics_as' => 1]);
foreach (['spread', 'heartbeat'] as $name) {
    if (isset($_GET[$name])) {
        $options[$name] = (int) $_GET[$name];
    }
}
if (isset($_GET['id'])) {
    $options['presence'] = ['id' => $_GET['id'], 'info' => ['name' => ucfirst($_GET['id'])]];
}
$options += isset($_GET['events']) ? ['presence_events' => true] : [];
$options += isset($_GET['retained']) ? ['retained' => true] : [];
sse_stream(
    explode(',', $_GET['topics']),
    isset($_GET['render']) ? $render : null,
    $options + ['stream_id' => true, 'retry' => 700, 'heartbeat' => 1],
);
