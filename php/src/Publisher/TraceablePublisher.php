<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Sse\Event;
use Sse\PublisherInterface;
use SseReceipt;
use Throwable;

/**
 * Publishes by another publisher, and keeps what was published and how long it took: for profilers.
 *
 * It keeps the newest publications only, so that a process that never ends doesn't grow. {@see reset()} forgets them:
 * frameworks call it between requests.
 */
final class TraceablePublisher implements PublisherInterface
{
    /** @var list<Publication> */
    private array $publications = [];
    private int $count = 0;

    /** @param int $most Publications that are kept, the newest; all are counted. */
    public function __construct(private readonly PublisherInterface $publisher, private readonly int $most = 200)
    {
    }

    public function publish(Event $event): string
    {
        return $this->traced('publish', $event->topics, $event, fn (): string => $this->publisher->publish($event));
    }

    public function publishWithReceipt(Event $event): SseReceipt
    {
        $publish = fn (): SseReceipt => $this->publisher->publishWithReceipt($event);

        return $this->traced('publish', $event->topics, $event, $publish);
    }

    public function notify(string ...$topics): bool
    {
        $topics = array_values($topics);

        return $this->traced('notify', $topics, null, fn (): bool => $this->publisher->notify(...$topics));
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        $finish = fn (): string => $this->publisher->finish($topic, $data, $type);

        return $this->traced('finish', [$topic], new Event($topic, $data, $type), $finish);
    }

    /** @return list<Publication> the newest, in their order */
    public function publications(): array
    {
        return $this->publications;
    }

    /** How many there were, with those that are not kept. */
    public function count(): int
    {
        return $this->count;
    }

    public function reset(): void
    {
        $this->publications = [];
        $this->count = 0;
    }

    /**
     * @template T of string|bool|SseReceipt
     *
     * @param list<string>  $topics
     * @param callable(): T $call
     *
     * @return T
     */
    private function traced(
        string $kind,
        array $topics,
        ?Event $event,
        callable $call,
    ): string|bool|SseReceipt {
        $start = hrtime(true);
        $result = false;
        $problem = null;
        try {
            $result = $call();

            return $result;
        } catch (Throwable $thrown) {
            $problem = $thrown->getMessage();

            throw $thrown;
        } finally {
            $seconds = (hrtime(true) - $start) / 1e9;
            $id = $result instanceof SseReceipt ? $result->id : $result;
            $id = is_string($id) ? $id : '';
            $this->publications[] = new Publication($kind, $topics, $event, $id, $result !== false, $problem, $seconds);
            $this->count++;
            if (count($this->publications) > $this->most) {
                array_shift($this->publications);
            }
        }
    }
}
