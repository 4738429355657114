<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use SseEvent;
use SseSubscription;
use SseTrigger;

/**
 * Makes what one client is told from what was published: a list of {action, table, id, record}.
 *
 * What it may read is told with the record. Of what it may not read it is told nothing; but of a row that it could read
 * before, that it is gone (`delete`), by its key alone. Where that can't be known, it is told to load anew what it shows
 * (`reset`), without a key.
 */
final class Changes
{
    /** More changes at once than this are one `reset`. */
    private const MOST = 100;

    public function __construct(
        private readonly Bridge $bridge,
        private readonly string $table,
        private readonly ?string $id,
        private readonly string $cursor,
        private readonly Ask $first,
    ) {
    }

    /** @return list<string> */
    public function topics(): array
    {
        return [$this->bridge->topic($this->table, $this->id)];
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
        // What was kept comes first, in order, and then this wake.
        $end = 'sse.end.' . bin2hex(random_bytes(8));
        $subscription = new SseSubscription([...$this->topics(), $end], ['last_event_id' => $last, 'timeout' => 2.0]);
        SseTrigger::push($end);
        $events = [];
        foreach ($subscription as $event) {
            if ($event->topic === $end) {
                return $events;
            }
            $events[] = $event;
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
        $changes = $this->byRecord($events);
        $last = end($events)->id ?: null;
        if ($changes === null || count($changes) > self::MOST) {
            return [$this->reset($last)];
        }
        if ($this->id === null) {
            $ask = Ask::forTable($this->bridge, $this->table, array_map('strval', array_keys($changes)));
            $readable = $ask->isAllowed() ? $ask->records() : [];
        } else {
            $ask = Ask::forRecord($this->bridge, $this->table, $this->id);
            $readable = array_filter([$this->id => $ask->record()]);
        }
        $told = [];
        $reset = false;
        foreach ($changes as $id => $changesOfOne) {
            $latest = end($changesOfOne);
            $event = ['action' => $latest->action, 'table' => $this->table, 'id' => (string) $id];
            if (isset($readable[$id])) {
                $told[] = new SseEvent($event + ['record' => $readable[$id]], id: $latest->eventId);
                continue;
            }
            $could = $this->couldRead($changesOfOne, $ask->scope());
            if ($could === true) {
                $told[] = new SseEvent(['action' => 'delete'] + $event, id: $latest->eventId);
            }
            $reset = $reset || $could === null;
        }

        return $reset ? [...$told, $this->reset($last)] : $told;
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
     * @param non-empty-list<Change> $changes
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
                $change->action === 'delete' || $reader->dependsOn($change->columns) => $reader->includes($change->scope),
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
