<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Sse\Rules;
use SseEvent;

/** An event, or without data a notification, as it is in the file. */
final class Record
{
    /** @param list<string> $topics */
    public function __construct(
        public readonly array $topics,
        public readonly ?string $data,
        public readonly ?string $type = null,
        public readonly ?string $ownId = null,
        public readonly ?int $retry = null,
        public readonly bool $finishes = false,
        public readonly int $number = 0,
    ) {
    }

    /** @param array<string, mixed> $row */
    public static function ofRow(array $row): self
    {
        $text = static fn (string $name): ?string => isset($row[$name]) ? (string) $row[$name] : null;

        return new self(
            explode("\n", (string) $row['topics']),
            $text('data'),
            $text('type'),
            $text('own_id'),
            isset($row['retry']) ? (int) $row['retry'] : null,
            (int) $row['finishes'] === 1,
            (int) $row['number'],
        );
    }

    public function id(): string
    {
        return $this->ownId ?? EventId::text($this->number);
    }

    public function isNotification(): bool
    {
        return $this->data === null;
    }

    /** About the bytes of its row, for limits. */
    public function size(): int
    {
        $texts = [...$this->topics, $this->data ?? '', $this->type ?? '', $this->ownId ?? ''];

        return 100 + array_sum(array_map(strlen(...), $texts));
    }

    /**
     * As a stream of these patterns is sent it.
     *
     * @param list<string> $patterns
     * @param string|null  $topicsAs the option `topics_as`
     * @param bool         $isValue  whether it is sent as a topic's last value, which does not change where a client goes on
     */
    public function frame(array $patterns, ?string $topicsAs, bool $isValue = false): string
    {
        $id = $isValue ? null : $this->id();
        $valueId = $isValue && $this->ownId === null ? $this->id() : null;
        if ($topicsAs === null) {
            return Frame::event((string) $this->data, $this->type, $id, $this->retry);
        }
        $topics = Rules::watched($patterns, $this->topics);
        if ($topicsAs === 'field') {
            $lines = implode('', array_map(static fn (string $topic): string => "topic: $topic\n", $topics));
            $lines .= $this->finishes ? "finished: 1\n" : '';
            $lines .= $valueId === null ? '' : "retained: $valueId\n";

            return $lines . Frame::event((string) $this->data, $this->type, $id, $this->retry);
        }
        $envelope = ['data' => $this->data, 'event' => $this->type, 'topics' => $topics];
        $envelope += $this->finishes ? ['finished' => true] : [];
        $envelope += $valueId === null ? [] : ['retained' => $valueId];

        return Frame::event(Frame::json($envelope), null, $id, $this->retry);
    }

    /** @param list<string> $patterns */
    public function event(array $patterns): SseEvent
    {
        $topic = Rules::watched($patterns, $this->topics)[0] ?? '';
        if ($this->data === null) {
            return ReadEvent::make($topic);
        }

        return ReadEvent::make($topic, $this->id(), $this->type, $this->data);
    }
}
