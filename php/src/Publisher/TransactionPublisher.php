<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Sse\Event;
use Sse\PublisherInterface;
use Sse\Rules;
use SseException;
use SseInvalidArgument;
use SseReceipt;
use Throwable;
use WeakReference;

/**
 * Holds publications back while a transaction is open: they are sent when it is committed, and dropped when it is
 * rolled back. Outside of one, they are sent at once.
 *
 * ```php
 * $publisher->begin($connection);
 * try {
 *     $orders->pay(42);                   // publishes
 *     $connection->commit();
 *     $publisher->commit($connection);
 * } catch (Throwable $problem) {
 *     $publisher->rollBack($connection);
 *     throw $problem;
 * }
 * ```
 *
 * Symfony's bundle does so for Doctrine's connections and for Messenger's messages. What is wrong with an event is
 * thrown at once, by the extension's rules; its data is encoded at once, too.
 */
final class TransactionPublisher implements PublisherInterface
{
    /** @var list<array{WeakReference<object>, list<callable(): void>, int}> owner, what it holds back, bytes */
    private array $open = [];

    /**
     * @param PublisherInterface $publisher What publishes outside of transactions.
     * @param PublisherInterface $committed What publishes after a commit, which nothing can undo: one that logs, such as
     *                                      {@see LoggingPublisher}. What it throws is in PHP's log.
     * @param int                $mostBytes Data that one transaction may hold back.
     */
    public function __construct(
        private readonly PublisherInterface $publisher,
        private readonly PublisherInterface $committed,
        private readonly int $mostBytes = 1_048_576,
    ) {
    }

    public function publish(Event $event): string
    {
        if (!$this->isOpen()) {
            return $this->publisher->publish($event);
        }
        $data = self::checked($event);
        $event = $event->withData($data);
        $this->hold(strlen($data), fn () => $this->committed->publish($event));

        return '';
    }

    public function publishWithReceipt(Event $event): SseReceipt
    {
        if (!$this->isOpen()) {
            return $this->publisher->publishWithReceipt($event);
        }

        throw new SseException('a receipt can\'t be had within a transaction: the event would wait for its commit; publish after it');
    }

    public function notify(string ...$topics): bool
    {
        if (!$this->isOpen()) {
            return $this->publisher->notify(...$topics);
        }
        $this->hold(array_sum(array_map(strlen(...), $topics)), fn () => $this->committed->notify(...$topics));

        return $topics !== [];
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        if (!$this->isOpen()) {
            return $this->publisher->finish($topic, $data, $type);
        }
        $text = self::checked(new Event($topic, $data ?? '', $type));
        $this->hold(strlen($text), fn () => $this->committed->finish($topic, $text, $type));

        return '';
    }

    /**
     * A transaction begins.
     *
     * @param object $owner What it is of, a connection say: another one's may begin before this one's end.
     */
    public function begin(object $owner): void
    {
        $this->open[] = [WeakReference::create($owner), [], 0];
    }

    /** The owner's newest transaction is committed: sends what it holds, or leaves it to the one that it is in. */
    public function commit(object $owner): void
    {
        $place = $this->place($owner);
        if ($place === null) {
            return;
        }
        [, $held, $bytes] = $this->open[$place];
        array_splice($this->open, $place, 1);
        if ($place > 0) {
            [$outer, $before, $size] = $this->open[$place - 1];
            $this->open[$place - 1] = [$outer, [...$before, ...$held], $size + $bytes];

            return;
        }
        foreach ($held as $send) {
            try {
                $send();
            } catch (Throwable $problem) {
                // The commit is done: who called it must not take it for failed.
                error_log("php-sse: an event was not published after its transaction: {$problem->getMessage()}");
            }
        }
    }

    /** The owner's newest transaction is rolled back: drops what it holds. */
    public function rollBack(object $owner): void
    {
        $place = $this->place($owner);
        if ($place !== null) {
            array_splice($this->open, $place, 1);
        }
    }

    /** Drops what is held back by transactions that nobody has ended: between the messages of a worker. */
    public function reset(): void
    {
        $this->open = [];
    }

    /** Whether there is a transaction: one whose owner is gone, as a connection that was lost, has ended without a word. */
    private function isOpen(): bool
    {
        $this->open = array_values(array_filter(
            $this->open,
            static fn (array $transaction): bool => $transaction[0]->get() !== null,
        ));

        return $this->open !== [];
    }

    private function place(object $owner): ?int
    {
        for ($place = count($this->open) - 1; $place >= 0; $place--) {
            if ($this->open[$place][0]->get() === $owner) {
                return $place;
            }
        }

        return null;
    }

    /** @param callable(): mixed $send */
    private function hold(int $bytes, callable $send): void
    {
        $last = count($this->open) - 1;
        // What an event costs beside its data.
        $size = $this->open[$last][2] + $bytes + 200;
        if ($size > $this->mostBytes) {
            throw new SseException(
                "a transaction may hold back $this->mostBytes bytes of events, and there are more; publish them after it",
            );
        }
        $this->open[$last][1][] = static function () use ($send): void {
            $send();
        };
        $this->open[$last][2] = $size;
    }

    /** @throws SseInvalidArgument */
    private static function checked(Event $event): string
    {
        Rules::checkSpread($event->spread);
        Rules::checkTraceparent($event->traceparent);
        Rules::checkPublication($event->topics, $event->type, $event->retry, $event->key, Rules::mostTopics());

        return Rules::data($event->data ?? ($event->retain ? '' : null), PHP_INT_MAX);
    }
}
