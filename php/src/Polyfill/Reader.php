<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Sse\Rules;
use SseEvent;

/** Where one reader of some patterns is among the events. */
final class Reader
{
    private int $position;
    private bool $gap;
    private bool $more = true;

    /** @param list<string> $patterns */
    public function __construct(
        private readonly Store $store,
        public readonly array $patterns,
        public readonly ?string $since = null,
    ) {
        [$this->position, $this->gap] = $store->place($since);
    }

    /** Whether what it missed at its beginning is not all there. */
    public function isGap(): bool
    {
        return $this->gap;
    }

    /** The number of the last event that it has looked at. */
    public function position(): int
    {
        return $this->position;
    }

    /** Whether the last look has left something. */
    public function hasMore(): bool
    {
        return $this->more;
    }

    /** @param list<string> $topics */
    public function watches(array $topics): bool
    {
        return Rules::watched($this->patterns, $topics) !== [];
    }

    /**
     * What has come since the last look, and whether events, and notifications, were dropped before they could be read.
     *
     * @return array{list<Record>, bool, bool}
     */
    public function look(): array
    {
        [$records, $this->position, $gap, $woken, $this->more] = $this->store->after(
            $this->position,
            $this->watches(...),
        );

        return [$records, $gap, $woken];
    }

    /** @return list<SseEvent> what has come, for PHP code: where something was dropped, first a notification of all */
    public function events(): array
    {
        [$records, $gap, $woken] = $this->look();
        $events = array_map(fn (Record $record): SseEvent => $record->event($this->patterns), $records);

        return $gap || $woken ? [ReadEvent::make('**'), ...$events] : $events;
    }
}
