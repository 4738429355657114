<?php

declare(strict_types=1);

namespace Sse\Publisher;

use AssertionError;
use Sse\Event;
use Sse\PublisherInterface;
use Sse\Rules;
use Sse\Topic;
use SseReceipt;

/**
 * Keeps what is published, for tests: nothing leaves the process, and what the extension would refuse is refused.
 *
 * ```php
 * $publisher = new InMemoryPublisher();
 * (new Orders($publisher))->pay(42);
 *
 * $publisher->assertPublished('orders.42', fn (Event $event): bool => $event->data['status'] === 'paid');
 * $publisher->assertPublishedCount(1);
 * ```
 *
 * The assertions are PHPUnit's where that is there, and count as such; elsewhere they throw an AssertionError.
 */
final class InMemoryPublisher implements PublisherInterface
{
    /** The defaults of `sse.max_topics` and `sse.max_event_size`. */
    private const MOST_TOPICS = 100;
    private const LARGEST = 1_048_576;

    /** @var list<Event> */
    private array $events = [];
    /** @var list<string> */
    private array $notified = [];
    /** @var list<Event> */
    private array $finished = [];
    /** @var array<string, string> ids by key */
    private array $keys = [];
    private int $sequence = 0;

    public function publish(Event $event): string
    {
        return $this->take($event)[0];
    }

    /** Nobody watches what leaves no process. */
    public function publishWithReceipt(Event $event): SseReceipt
    {
        [$id, $duplicate] = $this->take($event);

        return new SseReceipt($id, 0, $duplicate);
    }

    public function notify(string ...$topics): bool
    {
        foreach ($topics as $topic) {
            if (!Topic::isTopic($topic) || Topic::isReserved($topic)) {
                return false;
            }
        }
        array_push($this->notified, ...array_values($topics));

        return $topics !== [];
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        $event = new Event($topic, $data ?? '', $type);
        self::check($event);
        $this->finished[] = $event;

        return $this->nextId();
    }

    /** @return list<Event> those of publish(), in their order; with a pattern, those that who watches it would get */
    public function events(?string $pattern = null): array
    {
        return self::matching($this->events, $pattern);
    }

    /** @return list<string> the topics of notify(), in their order */
    public function notified(): array
    {
        return $this->notified;
    }

    /** @return list<Event> the last events of finish(), in their order */
    public function finished(): array
    {
        return $this->finished;
    }

    /** Forgets everything. */
    public function reset(): void
    {
        $this->events = $this->notified = $this->finished = $this->keys = [];
    }

    /**
     * An event was published that who watches the pattern would get.
     *
     * @param string                     $pattern A topic or a pattern.
     * @param callable(Event): bool|null $which   What else holds for it; null: any.
     */
    public function assertPublished(string $pattern, ?callable $which = null): void
    {
        $found = array_filter($this->events($pattern), $which === null ? static fn (): bool => true : $which(...));
        self::assert($found !== [], $which === null
            ? "no event was published to '$pattern'; {$this->summary()}"
            : "no event that was published to '$pattern' is as it should be; {$this->summary()}");
    }

    /** Nothing was published that who watches the pattern would get; without one, nothing at all. */
    public function assertNothingPublished(?string $pattern = null): void
    {
        $where = $pattern === null ? '' : " to '$pattern'";
        self::assert($this->events($pattern) === [], "something was published$where; {$this->summary()}");
    }

    /** So many events were published that who watches the pattern would get; without one, all are counted. */
    public function assertPublishedCount(int $count, ?string $pattern = null): void
    {
        $found = count($this->events($pattern));
        self::assert($found === $count, "$found events were published, not $count; {$this->summary()}");
    }

    /** A topic was notified that the pattern matches. */
    public function assertNotified(string $pattern): void
    {
        Rules::checkPattern($pattern);
        $found = array_filter($this->notified, static fn (string $topic): bool => Rules::matches($pattern, $topic));
        $all = $this->notified === [] ? 'there was none' : 'there was ' . implode(', ', $this->notified);
        self::assert($found !== [], "no notification of '$pattern'; $all");
    }

    /** This topic was finished. */
    public function assertFinished(string $topic): void
    {
        self::assert(self::matching($this->finished, $topic) !== [], "'$topic' was not finished");
    }

    /**
     * @param list<Event> $events
     *
     * @return list<Event>
     */
    private static function matching(array $events, ?string $pattern): array
    {
        if ($pattern === null) {
            return $events;
        }
        Rules::checkPattern($pattern);

        return array_values(array_filter(
            $events,
            static fn (Event $event): bool => Rules::watched([$pattern], $event->topics) !== [],
        ));
    }

    /** @return array{string, bool} the id, and whether its key was known */
    private function take(Event $event): array
    {
        self::check($event);
        if ($event->key !== null && isset($this->keys[$event->key])) {
            return [$this->keys[$event->key], true];
        }
        $this->events[] = $event;
        $id = $this->nextId();
        if ($event->key !== null) {
            $this->keys[$event->key] = $id;
        }

        return [$id, false];
    }

    private static function check(Event $event): void
    {
        Rules::checkSpread($event->spread);
        Rules::checkTraceparent($event->traceparent);
        Rules::checkPublication(
            $event->topics,
            $event->type,
            $event->retry,
            $event->key,
            self::MOST_TOPICS,
        );
        Rules::data($event->data, self::LARGEST);
    }

    /** As the hub's: milliseconds and a sequence number, and only growing. */
    private function nextId(): string
    {
        return '1700000000000-' . $this->sequence++;
    }

    private function summary(): string
    {
        $topics = array_map(static fn (Event $event): string => implode(', ', $event->topics), $this->events);

        return $topics === [] ? 'nothing was published' : 'there was: ' . implode('; ', $topics);
    }

    private static function assert(bool $holds, string $message): void
    {
        $phpunit = ['PHPUnit\Framework\Assert', 'assertTrue'];
        if (is_callable($phpunit)) {
            // @mago-expect analysis:non-existent-function - PHPUnit is the tests' own.
            $phpunit($holds, $message);
        } elseif (!$holds) {
            throw new AssertionError($message);
        }
    }
}
