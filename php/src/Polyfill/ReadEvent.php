<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use ReflectionClass;
use ReflectionProperty;
use SseEvent;

/** Makes the events that PHP code reads: its constructor is for those that a callback returns. */
final class ReadEvent
{
    /** @param string|null $data Null for a notification. */
    public static function make(string $topic, string $id = '', ?string $type = null, ?string $data = null): SseEvent
    {
        $event = (new ReflectionClass(SseEvent::class))->newInstanceWithoutConstructor();
        $values = ['id' => $id, 'topic' => $topic, 'event' => $type, 'data' => $data, 'isTrigger' => $data === null];
        $values['traceparent'] = null;
        foreach ($values as $name => $value) {
            // Read-only properties may be initialised by reflection.
            (new ReflectionProperty(SseEvent::class, $name))->setValue($event, $value);
        }

        return $event;
    }
}
