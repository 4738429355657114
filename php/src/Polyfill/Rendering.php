<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Closure;
use Generator;
use Sse\Rules;
use SseEnd;
use SseEvent;
use SseException;
use SseInvalidArgument;

/** Runs a stream's callback, and makes of what it returns the bytes that are sent. */
final class Rendering
{
    /** Events that a callback is told at most, the newest. */
    private const EVENTS = 1000;

    private static bool $isRunning = false;

    /** What the last run returned that ended the stream: the end's id, and whether there is a last event. */
    private ?string $endId = null;
    private bool $isOver = false;

    /**
     * @param Closure(list<SseEvent>, string=): mixed $callback
     * @param string|null $streamId The stream's public id, which the callback gets; null: it gets none.
     */
    public function __construct(
        private readonly Closure $callback,
        private readonly ?string $type,
        private readonly int $mostBytes,
        private readonly ?string $streamId = null,
    ) {
    }

    /** Whether the callback has said that the stream is over for good. */
    public function isOver(): bool
    {
        return $this->isOver;
    }

    /** The id of that end; null if it has no last event. */
    public function endId(): ?string
    {
        return $this->endId;
    }

    /**
     * Runs it.
     *
     * @param list<SseEvent> $events
     *
     * @return string what is to be sent; '' for nothing
     */
    public function run(array $events): string
    {
        self::$isRunning = true;
        ob_start();
        try {
            $arguments = [$this->bounded($events), ...($this->streamId === null ? [] : [$this->streamId])];

            return $this->frames(($this->callback)(...$arguments));
        } finally {
            // What it outputs is thrown away.
            ob_end_clean();
            self::$isRunning = false;
        }
    }

    /**
     * Notifications of a topic once, and not more than a callback is told.
     *
     * @param list<SseEvent> $events
     *
     * @return list<SseEvent>
     */
    private function bounded(array $events): array
    {
        $told = [];
        $kept = [];
        $bytes = 0;
        foreach (array_reverse($events) as $event) {
            if ($event->isTrigger && isset($told[$event->topic])) {
                continue;
            }
            $told += $event->isTrigger ? [$event->topic => true] : [];
            $bytes += is_string($event->data) ? strlen($event->data) : 0;
            if (count($kept) === self::EVENTS || $bytes > $this->mostBytes) {
                return [ReadEvent::make('**'), ...array_reverse($kept)];
            }
            $kept[] = $event;
        }

        return array_reverse($kept);
    }

    private function frames(mixed $result): string
    {
        if (is_array($result) && self::isOfEvents($result)) {
            foreach ($result as $item) {
                if (!$item instanceof SseEvent && (!$item instanceof SseEnd || $item !== end($result))) {
                    $given = get_debug_type($item);
                    throw new SseInvalidArgument(
                        "sse_stream(): \$render returned an array of SseEvents with $given in it; return SseEvents only, "
                        . 'or a generator',
                    );
                }
            }
        } elseif (!$result instanceof Generator) {
            $result = [$result];
        }
        $frames = '';
        /** @var mixed $item */
        foreach ($result as $item) {
            $frames .= $this->frame($item, $frames);
            if (strlen($frames) > $this->mostBytes) {
                $size = strlen($frames);
                throw new SseInvalidArgument(
                    "sse_stream(): what \$render returned: $size bytes of events; sse.max_event_size allows "
                    . "$this->mostBytes for one render; raise it, or send where the client can fetch the rest",
                );
            }
            if ($this->isOver) {
                break;
            }
        }

        return $frames;
    }

    /** @param array<array-key, mixed> $values */
    private static function isOfEvents(array $values): bool
    {
        foreach ($values as $value) {
            if ($value instanceof SseEvent || $value instanceof SseEnd) {
                return true;
            }
        }

        return false;
    }

    /** What one item is on the stream, behind what is there already. */
    private function frame(mixed $item, string $before): string
    {
        if ($item === null || ($item instanceof SseEvent && $item->isTrigger)) {
            return '';
        }
        if ($item instanceof SseEvent) {
            return Frame::event(self::text($item->data ?? ''), $item->event, $item->id === '' ? null : $item->id);
        }
        if (!$item instanceof SseEnd) {
            return Frame::event(self::text($item), $this->type);
        }
        $this->isOver = true;
        if ($item->data !== null) {
            $data = self::text($item->data);
            $this->endId = $item->id ?? self::idOf("$item->event\n$data");

            return Frame::event($data, $item->event, $this->endId);
        }
        if ($item->id === null && $before === '') {
            return '';
        }
        // By this id a later request shows that its client has this end.
        $this->endId = $item->id ?? self::idOf($before);

        return "id: $this->endId\n\n";
    }

    private static function text(mixed $value): string
    {
        try {
            // Its size counts with the lines around it.
            return Rules::data($value, PHP_INT_MAX);
        } catch (SseInvalidArgument $mistake) {
            throw new SseInvalidArgument("sse_stream(): what \$render returned: {$mistake->getMessage()}");
        }
    }

    private static function idOf(string $end): string
    {
        return 'end-' . substr(hash('sha256', $end), 0, 16);
    }

    /** @throws SseException A callback has called sse_stream(). */
    public static function checkNotRunning(): void
    {
        if (self::$isRunning) {
            throw new SseException("sse_stream() can't be called by its own \$render");
        }
    }
}
