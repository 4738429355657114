<?php

declare(strict_types=1);

namespace Sse\Console;

use SseEvent;

/** An event as one line of JSON, in ASCII: what a client has written is no control character of a terminal. */
final class EventLine
{
    public static function of(SseEvent $event): string
    {
        $fields = $event->isTrigger
            ? ['topic' => $event->topic, 'notification' => true]
            : ['id' => $event->id, 'topic' => $event->topic, 'event' => $event->event, 'data' => $event->data];

        return json_encode($fields, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
    }
}
