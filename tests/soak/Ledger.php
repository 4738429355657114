<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** All events that were published, or tried to. */
final class Ledger
{
    /** @var list<Entry> */
    public array $entries = [];
    /** @var array<string, Entry> */
    private array $byKey = [];
    /** @var array<string, Entry> */
    private array $byId = [];

    /** @param list<array{int, string, ...}> $lines of a publisher's journal */
    public function add(string $publisher, array $lines): void
    {
        foreach ($lines as $line) {
            [$time, $kind, $key] = $line;
            if ($kind === 'try') {
                $id = $line[4] === '' ? null : $line[4];
                $topics = explode(',', $line[3]);
                $entry = new Entry(count($this->entries), $key, $publisher, $time, $topics, $line[6], $id);
                $this->entries[] = $this->byKey[$key] = $entry;
                $this->name($entry, $id);
                continue;
            }
            $entry = $this->byKey[$key];
            $entry->answered = $time;
            $entry->state = match ($kind) {
                'ok' => Entry::ACCEPTED,
                'threw' => Entry::THREW,
                'sent' => Entry::SENT,
                'dropped' => Entry::DROPPED,
            };
            if ($kind === 'ok') {
                $entry->exists = true;
                $entry->known = min($entry->known, $time);
                $this->name($entry, $line[3]);
            }
        }
    }

    public function byKey(string $key): ?Entry
    {
        return $this->byKey[$key] ?? null;
    }

    public function byId(string $id): ?Entry
    {
        return $this->byId[$id] ?? null;
    }

    /** Learns an event's id; false if it has another one. */
    public function name(Entry $entry, ?string $id): bool
    {
        if ($id === null || $id === '') {
            return true;
        }
        if ($entry->id !== null && $entry->id !== $id) {
            return false;
        }
        $entry->id = $id;
        $this->byId[$id] = $entry;
        if ($entry->stamp === 0) {
            $entry->stamp = Entry::stampOf($id);
        }

        return true;
    }
}
