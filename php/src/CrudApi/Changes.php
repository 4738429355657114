<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Sse\Rules;
use SseEvent;
use SseSubscription;
use SseTrigger;

/**
 * Makes what one client is told from what was published: a list of {action, table, id, record}.
 *
 * What it may read is told with the record. Of what it may not read it is told nothing; but of a row that it could read
 * before, that it is gone (`delete`), by its key alone. Where that can't be known, it is told to load anew what it
 * shows (`reset`), without a key.
 */
final class Changes
{
    /** Records that the API is asked for by one question. */
    private const AT_ONCE = 100;
    /** More than this to tell at once are one `reset`. */
    private const MOST = 100;

    /**
     * @param string|null       $id  of the stream of one record
     * @param list<string>|null $ids of the stream of some
     */
    public function __construct(
        private readonly Bridge $bridge,
        private readonly string $table,
        private readonly ?string $id,
        private readonly string $cursor,
        private readonly Ask $first,
        private readonly ?array $ids = null,
    ) {
    }

    /** @return list<string> */
    public function topics(): array
    {
        return $this->ids === null
            ? [$this->bridge->topic($this->table, $this->id)]
            : array_map(fn (string $id): string => $this->bridge->topic($this->table, $id), $this->ids);
    }

    /**
     * @param list<SseEvent> $events
     *
     * @return list<SseEvent>|null
     */
    public function render(array $events): ?array
    {
        if (sse_render() === null && $events === []) {
            $missed = $this->missed();
            if ($missed === null) {
                return [$this->opened()];
            }
            $events = $missed;
        }
        $told = $events === [] ? [] : $this->tell($events);

        return $told === [] ? null : $told;
    }

    /** The first event of a stream: what it is of, and an id to come back with. */
    private function opened(): SseEvent
    {
        $event = ['action' => 'open', 'table' => $this->table];
        if ($this->id !== null) {
            $event += ['id' => $this->id, 'record' => $this->first->record()];
        } elseif ($this->ids !== null) {
            $event += ['ids' => $this->ids];
        }

        return new SseEvent($event, id: $this->cursor);
    }

    /**
     * What a client has missed that comes back with the id of the last event it has; null for one that is new.
     *
     * @return list<SseEvent>|null
     */
    private function missed(): ?array
    {
        $last = $_SERVER['HTTP_LAST_EVENT_ID'] ?? $_GET['lastEventId'] ?? '';
        if (!is_string($last) || preg_match('/^\d+-\d+$/D', $last) !== 1) {
            return null;
        }
        if (Rules::mostTopics() < 2) {
            // No room for the end beside it: what it has missed can't be read, and it loads anew.
            return [new SseEvent('', id: $this->cursor)];
        }
        // What was kept comes first, in order, and then this wake.
        $end = 'sse.end.' . bin2hex(random_bytes(8));
        // Of some records the whole table's: with the end, their own may be more topics than `sse.max_topics`.
        $watched = $this->bridge->topic($this->table, $this->id);
        $subscription = new SseSubscription([$watched, $end], ['last_event_id' => $last, 'timeout' => 2.0]);
        SseTrigger::push($end);
        $topics = $this->topics();
        $events = [];
        foreach ($subscription as $event) {
            if ($event->topic === $end) {
                return $events;
            }
            // `**`: some of it is not kept any more.
            if ($this->ids === null || $event->topic === '**' || in_array($event->topic, $topics, true)) {
                $events[] = $event;
            }
        }

        return [...$events, new SseEvent()];
    }

    /**
     * @param non-empty-list<SseEvent> $events
     *
     * @return list<SseEvent>
     */
    private function tell(array $events): array
    {
        $last = end($events)->id ?: null;
        $changes = $this->byRecord($events);
        if ($changes === null) {
            return [$this->reset($last)];
        }
        $told = [];
        $reset = false;
        foreach (array_chunk($changes, self::AT_ONCE, true) as $some) {
            $ask = $this->ask(array_map('strval', array_keys($some)));
            $readable = $this->id === null ? $ask->records() : array_filter([$this->id => $ask->record()]);
            foreach ($some as $id => $changesOfOne) {
                $change = $this->tellOne((string) $id, $changesOfOne, $readable[$id] ?? null, $ask);
                $told[] = $change;
                $reset = $reset || $change === null;
            }
        }
        $told = array_values(array_filter($told));
        $size = 0;
        foreach ($told as $event) {
            $size += strlen((string) json_encode($event->data));
        }
        if (count($told) > self::MOST || $size > self::largest()) {
            return [$this->reset($last)];
        }

        return $reset ? [...$told, $this->reset($last)] : $told;
    }

    /**
     * @param list<string> $ids
     *
     * @throws Refused The client may not have the stream any more.
     */
    private function ask(array $ids): Ask
    {
        $ask = $this->id === null
            ? Ask::forTable($this->bridge, $this->table, $ids)
            : Ask::forRecord($this->bridge, $this->table, $this->id);
        if (!$ask->isAllowed() && !($this->id !== null && $ask->isGone($this->id))) {
            throw new Refused("the API answers {$ask->response()->getStatusCode()}");
        }

        return $ask;
    }

    /**
     * What is told of one record: an event, false for nothing, null where it can't be told by its key.
     *
     * @param non-empty-list<Change>    $changes
     * @param array<string, mixed>|null $record
     */
    private function tellOne(string $id, array $changes, ?array $record, Ask $reader): SseEvent|false|null
    {
        if ($record !== null) {
            // That, and when, a column was written which the client may not read is nothing for it to know.
            $changes = array_values(array_filter($changes, static fn (Change $change): bool =>
                !in_array($change->action, ['update', 'increment'], true) || $reader->shows($change)));
            if ($changes === []) {
                return false;
            }
        }
        $latest = end($changes);
        $event = ['action' => $latest->action, 'table' => $this->table, 'id' => $id];
        if ($record !== null) {
            // It may be there again.
            $event['action'] = $latest->action === 'delete' ? 'update' : $latest->action;

            return new SseEvent($event + ['record' => $record], id: $latest->eventId);
        }

        return match ($this->couldRead($changes, $reader->scope())) {
            true => new SseEvent(['action' => 'delete'] + $event, id: $latest->eventId),
            false => false,
            null => null,
        };
    }

    /** Bytes that fit into what a render may send, with room for what is counted otherwise. */
    private static function largest(): int
    {
        $setting = (string) (ini_get('sse.max_event_size') ?: '1M');
        $unit = ['k' => 10, 'm' => 20, 'g' => 30][strtolower(substr($setting, -1))] ?? 0;

        return intdiv((int) $setting << $unit, 2);
    }

    /**
     * The changes of each record, in the order of the latest; null if it is not known which records have changed.
     *
     * @param list<SseEvent> $events
     *
     * @return array<string|int, non-empty-list<Change>>|null
     */
    private function byRecord(array $events): ?array
    {
        $changes = [];
        foreach ($events as $event) {
            $change = Change::of($event);
            if ($change === null) {
                return null;
            }
            $earlier = $changes[$change->id] ?? [];
            unset($changes[$change->id]);
            $changes[$change->id] = [...$earlier, $change];
        }

        return $changes;
    }

    /**
     * Whether a client that can't read the record could do so before.
     *
     * @param list<Change> $changes
     */
    private function couldRead(array $changes, Scope $reader): ?bool
    {
        // The stream of one record began with it.
        if ($this->id !== null) {
            return true;
        }
        $answer = false;
        foreach ($changes as $change) {
            $could = match (true) {
                $change->action === 'create' => false,
                $change->action === 'delete', $reader->dependsOn($change->columns) => $reader->includes($change->scope),
                $reader->includes(null) === true => true,
                default => false,
            };
            if ($could === true) {
                return true;
            }
            $answer = $could === null ? null : $answer;
        }

        return $answer;
    }

    private function reset(?string $id): SseEvent
    {
        return new SseEvent(['action' => 'reset', 'table' => $this->table], id: $id);
    }
}
