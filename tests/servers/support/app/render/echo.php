<?php

declare(strict_types=1);

// What the callback is told of the topic, each time as one event: every item has to come once, in order.
sse_stream($_GET['topic'], static fn (array $events): ?array => $events === [] ? null : array_map(
    static fn (SseEvent $event): mixed => $event->isTrigger ? $event->topic : $event->data,
    $events,
));
