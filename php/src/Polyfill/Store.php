<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseReceipt;

/** Events in the file: adds them, within its limits, and finds those that a reader has not got. */
final class Store
{
    /** Notifications that are kept, of as many topics: each is kept once. */
    private const NOTIFICATIONS = 1000;
    private const KEYS = 10_000;
    /** Most rows that one look reads. */
    private const ROWS = 500;
    /** Bytes of events that one look reads at most, and always one event. */
    private const BYTES = 1 << 20;
    private const COLUMNS = 'number, topics, type, own_id, retry, data, finishes';

    public function __construct(private readonly Database $file, private readonly Settings $settings)
    {
    }

    public function isOwn(): bool
    {
        return $this->file->isOwn();
    }

    /** Adds an event; with a key that is known, it adds none, and the receipt is of the first one. */
    public function publish(Record $event, ?string $key = null, bool $retain = false): SseReceipt
    {
        return $this->file->transaction(function () use ($event, $key, $retain): SseReceipt {
            $first = $key === null ? '' : $this->known($key);
            if ($first !== '') {
                return new SseReceipt($first, 0, true);
            }
            $number = $this->add($event);
            $this->file->setFigure('newest', $number);
            $this->file->addToFigure('published', 1);
            $this->file->addToFigure('events', 1);
            $this->file->addToFigure('bytes', $event->size());
            foreach ($event->topics as $topic) {
                if ($retain) {
                    $this->replace('retained', $topic, $event->data === '' ? null : $event, $number);
                }
                $this->replace('finished', $topic, $event->finishes ? $event : null, $number);
            }
            $this->forget();
            if ($retain) {
                $this->limit('retained', $this->settings->number('retain_bytes'));
            }
            if ($event->finishes) {
                $until = EventId::before($this->settings->number('finished_ttl'));
                $this->file->run('DELETE FROM finished WHERE number < ?', [$until]);
                $this->limit('finished', $this->settings->number('finished_bytes'));
            }
            $id = $event->ownId ?? EventId::text($number);
            if ($key !== null) {
                $this->remember($key, $id);
            }

            return new SseReceipt($id);
        });
    }

    /**
     * Adds notifications, one of each topic.
     *
     * @param list<string> $topics
     */
    public function notify(array $topics): void
    {
        $this->file->transaction(function () use ($topics): void {
            foreach ($topics as $topic) {
                // Who has not read the one before reads this one.
                $this->file->run('DELETE FROM event WHERE data IS NULL AND topics = ?', [$topic]);
                $this->add(new Record([$topic], null));
            }
            $count = $this->file->number('SELECT COUNT(*) FROM event WHERE data IS NULL');
            if ($count > self::NOTIFICATIONS) {
                $last = $this->file->number(
                    'SELECT number FROM event WHERE data IS NULL ORDER BY number LIMIT 1 OFFSET ?',
                    [$count - self::NOTIFICATIONS - 1],
                );
                $this->file->run('DELETE FROM event WHERE data IS NULL AND number <= ?', [$last]);
                $this->file->setFigure('forgotten_notification', $last);
            }
        });
    }

    public function retained(string $topic): ?Record
    {
        return $this->kept('retained', $topic);
    }

    /**
     * The last events of topics that are all finished, in their order; null if one of them is not, or is a pattern.
     *
     * @param list<string> $topics
     *
     * @return list<Record>|null
     */
    public function finished(array $topics): ?array
    {
        $until = EventId::before($this->settings->number('finished_ttl'));
        $last = [];
        foreach ($topics as $topic) {
            $event = str_contains($topic, '*') ? null : $this->kept('finished', $topic);
            if ($event === null || $event->number < $until) {
                return null;
            }
            $last[$event->number] = $event;
        }
        ksort($last);

        return array_values($last);
    }

    /** The newest event's number. */
    public function newest(): int
    {
        return $this->file->figure('newest');
    }

    /**
     * Where a reader begins, by the id of the last event that it has: the number after which it reads, and whether it
     * has missed what is not kept any more.
     *
     * @return array{int, bool}
     */
    public function place(?string $id): array
    {
        return $this->file->snapshot(function () use ($id): array {
            $last = $this->file->figure('last');
            if ($id === null) {
                return [$last, false];
            }
            $forgotten = $this->file->figure('forgotten');
            $number = EventId::parse($id) ?? $this->file->number(
                'SELECT number FROM event WHERE own_id = ? ORDER BY number DESC LIMIT 1',
                [$id],
            );

            return $number >= $forgotten && $number <= $last ? [$number, false] : [$forgotten, true];
        });
    }

    /**
     * What comes after a number, as far as one look goes: the records, the number of the last one that was looked at,
     * whether events in between are not kept any more, whether notifications are not, and whether there may be more.
     *
     * @param callable(list<string>): bool $watches
     *
     * @return array{list<Record>, int, bool, bool, bool}
     */
    public function after(int $number, callable $watches): array
    {
        return $this->file->snapshot(function () use ($number, $watches): array {
            $gap = $this->file->figure('forgotten') > $number;
            $woken = $this->file->figure('forgotten_notification') > $number;
            $columns = self::COLUMNS;
            $rows = $this->file->run(
                "SELECT $columns FROM event WHERE number > ? ORDER BY number LIMIT ?",
                [$number, self::ROWS],
            );
            $records = [];
            $bytes = $looked = 0;
            /** @var array<string, mixed>|false $row */
            while ($bytes < self::BYTES && ($row = $rows->fetch()) !== false) {
                $looked++;
                $record = Record::ofRow($row);
                $number = $record->number;
                if ($watches($record->topics)) {
                    $records[] = $record;
                    $bytes += $record->size();
                }
            }
            $rows->closeCursor();

            return [$records, $number, $gap, $woken, $bytes >= self::BYTES || $looked === self::ROWS];
        });
    }

    /**
     * The last values of the topics that are watched, in their order.
     *
     * @param callable(list<string>): bool $watches
     *
     * @return list<Record>
     */
    public function lastValues(callable $watches): array
    {
        $columns = self::COLUMNS;
        $found = [];
        foreach ($this->file->rows("SELECT topic, $columns FROM retained ORDER BY number") as $row) {
            if ($watches([(string) $row['topic']])) {
                $record = Record::ofRow($row);
                $found[$record->number] = $record;
            }
        }

        return array_values($found);
    }

    /** @return array{published: int, gaps: int, resumed: int, events: int, bytes: int, retained: int, finished: int} */
    public function figures(): array
    {
        return $this->file->snapshot(fn (): array => [
            'published' => $this->file->figure('published'),
            'gaps' => $this->file->figure('gaps'),
            'resumed' => $this->file->figure('resumed'),
            'events' => $this->file->figure('events'),
            'bytes' => $this->file->figure('bytes'),
            'retained' => $this->file->number('SELECT COUNT(*) FROM retained'),
            'finished' => $this->file->number('SELECT COUNT(*) FROM finished'),
        ]);
    }

    public function countResumed(bool $gap): void
    {
        $this->file->transaction(fn () => $this->file->addToFigure($gap ? 'gaps' : 'resumed', 1));
    }

    /** Adds a row with the next number. */
    private function add(Record $record): int
    {
        $number = max($this->file->figure('last') + 1, EventId::now());
        $this->file->setFigure('last', $number);
        $this->file->run('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)', self::row($record, $number));

        return $number;
    }

    /** @return list<string|int|null> in the order of the columns */
    private static function row(Record $record, int $number): array
    {
        return [
            $number,
            implode("\n", $record->topics),
            $record->type,
            $record->ownId,
            $record->retry,
            $record->data,
            (int) $record->finishes,
            $record->size(),
        ];
    }

    /** @param 'retained'|'finished' $table */
    private function replace(string $table, string $topic, ?Record $event, int $number): void
    {
        $this->file->run("DELETE FROM $table WHERE topic = ?", [$topic]);
        if ($event !== null) {
            $this->file->run(
                "INSERT INTO $table VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [$topic, ...self::row($event, $number)],
            );
        }
    }

    /** @param 'retained'|'finished' $table */
    private function kept(string $table, string $topic): ?Record
    {
        $columns = self::COLUMNS;
        $row = $this->file->rows("SELECT $columns FROM $table WHERE topic = ?", [$topic])[0] ?? null;

        return $row === null ? null : Record::ofRow($row);
    }

    /**
     * Removes the oldest rows of a table beyond so many bytes.
     *
     * @param 'retained'|'finished' $table
     */
    private function limit(string $table, int $most): void
    {
        $bytes = $this->file->number("SELECT SUM(size) FROM $table");
        while ($bytes > $most) {
            $row = $this->file->rows("SELECT number, SUM(size) AS size FROM $table GROUP BY number ORDER BY number LIMIT 1");
            $this->file->run("DELETE FROM $table WHERE number = ?", [(int) $row[0]['number']]);
            $bytes -= (int) $row[0]['size'];
        }
    }

    /** Removes the oldest events that are too old, too many, or too many bytes. */
    private function forget(): void
    {
        $events = $this->file->figure('events');
        $bytes = $this->file->figure('bytes');
        $until = EventId::before($this->settings->number('history_ttl'));
        $mostEvents = $this->settings->number('history_events');
        $mostBytes = $this->settings->number('history_bytes');
        $oldest = $this->file->run(
            'SELECT number, size FROM event WHERE data IS NOT NULL ORDER BY number',
        );
        [$last, $removedEvents, $removedBytes] = [0, 0, 0];
        /** @var array{number: int, size: int}|false $row */
        while (($row = $oldest->fetch()) !== false) {
            $isOver = $events - $removedEvents > $mostEvents || $bytes - $removedBytes > $mostBytes;
            if (!$isOver && $row['number'] >= $until) {
                break;
            }
            $last = $row['number'];
            $removedEvents++;
            $removedBytes += $row['size'];
        }
        $oldest->closeCursor();
        if ($removedEvents > 0) {
            $this->file->run('DELETE FROM event WHERE data IS NOT NULL AND number <= ?', [$last]);
            $this->file->setFigure('forgotten', $last);
            $this->file->addToFigure('events', -$removedEvents);
            $this->file->addToFigure('bytes', -$removedBytes);
        }
    }

    /** The id of the publication that had this key first; '' if there was none. */
    private function known(string $key): string
    {
        $this->file->run('DELETE FROM publication WHERE until <= ?', [time()]);

        return (string) ($this->file->rows('SELECT id FROM publication WHERE key = ?', [$key])[0]['id'] ?? '');
    }

    private function remember(string $key, string $id): void
    {
        $until = time() + $this->settings->number('key_ttl');
        $this->file->run('INSERT INTO publication VALUES (?, ?, ?)', [$key, $id, $until]);
        $more = $this->file->number('SELECT COUNT(*) FROM publication') - self::KEYS;
        if ($more > 0) {
            $oldest = 'SELECT rowid FROM publication ORDER BY until, rowid LIMIT ?';
            $this->file->run("DELETE FROM publication WHERE rowid IN ($oldest)", [$more]);
        }
    }
}
