<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Sse\Topic;
use SseEvent;

/** One change of one record, as the publisher told it, or as a wake of its topic did. */
final class Change
{
    private const ACTIONS = ['create', 'update', 'delete', 'increment'];

    /** @param list<string>|null $columns marks of those that were written; null: any */
    private function __construct(
        public readonly string $id,
        public readonly string $action,
        public readonly ?string $eventId,
        public readonly ?Scope $scope = null,
        public readonly ?array $columns = null,
    ) {
    }

    /** Null if it doesn't say which record has changed. */
    public static function of(SseEvent $event): ?self
    {
        $segment = (string) strrchr($event->topic, '.');
        $segment = substr($segment, 1);
        $eventId = $event->id === '' ? null : $event->id;
        $data = is_string($event->data) ? json_decode($event->data, true) : null;
        $id = $data['id'] ?? null;
        $action = $data['action'] ?? null;
        if (is_string($id) && Topic::segment($id) === $segment && in_array($action, self::ACTIONS, true)) {
            $columns = $data['scope']['columns'] ?? null;

            return new self(
                $id,
                $action,
                $eventId,
                Scope::fromArray($data['scope'] ?? null),
                is_array($columns) ? array_values(array_filter($columns, 'is_string')) : null,
            );
        }
        $id = Topic::value($segment);

        return $segment === '' || $segment === '**' || $id === null ? null : new self($id, 'update', $eventId);
    }
}
