<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Sse\Event;

/** One call of a publisher, as {@see TraceablePublisher} has seen it. */
final class Publication
{
    /**
     * @param string       $kind    `publish`, `notify` or `finish`.
     * @param list<string> $topics
     * @param Event|null   $event   What was published; null for a notification.
     * @param string       $id      The event's id; empty where it has none, or it is not known yet.
     * @param bool         $taken   Whether it was taken.
     * @param string|null  $problem The message of what was thrown.
     * @param float        $seconds How long the call took.
     */
    public function __construct(
        public readonly string $kind,
        public readonly array $topics,
        public readonly ?Event $event,
        public readonly string $id,
        public readonly bool $taken,
        public readonly ?string $problem,
        public readonly float $seconds,
    ) {
    }
}
