<?php

declare(strict_types=1);

namespace Sse;

use JsonException;
use SseException;
use SseInvalidArgument;
use SseReceipt;
use SseUnavailable;

/**
 * What publishes: for a constructor that asks for it, and for tests that give it another one.
 *
 * ```php
 * final class Orders
 * {
 *     public function __construct(private readonly PublisherInterface $publisher)
 *     {
 *     }
 *
 *     public function pay(int $id): void
 *     {
 *         $this->publisher->publish(new Event("orders.$id", ['status' => 'paid'], type: 'order'));
 *     }
 * }
 * ```
 *
 * {@see Publisher\ExtensionPublisher} is the one of a running site, {@see Publisher\InMemoryPublisher} that of its
 * tests.
 */
interface PublisherInterface
{
    /**
     * Publishes an event to all that watch one of its topics.
     *
     * @return string The event's id; empty where it is not known yet, or the event was not taken and that was logged.
     *
     * @throws SseInvalidArgument The event breaks a rule.
     * @throws SseUnavailable     Nobody took the event in time.
     * @throws SseException       Anything else that the message says.
     * @throws JsonException      The data can't be encoded.
     */
    public function publish(Event $event): string;

    /**
     * Publishes an event as {@see publish()} does, and tells how many streams it went to: sse_publish() with `report`.
     * It waits for that, so it must be an event that is sent at once.
     *
     * @throws SseInvalidArgument The event breaks a rule, or is not sent at once.
     * @throws SseUnavailable     Nobody took the event in time.
     * @throws SseException       Anything else that the message says.
     * @throws JsonException      The data can't be encoded.
     */
    public function publishWithReceipt(Event $event): SseReceipt;

    /**
     * Tells that topics changed, without data: {@see \SseTrigger::push()}. It never throws.
     *
     * @return bool Whether it was taken.
     */
    public function notify(string ...$topics): bool;

    /**
     * Publishes a topic's last event, and ends the streams that wait for nothing else: sse_finish().
     *
     * @param string      $topic A topic, no wildcards.
     * @param mixed       $data  The last event's data: a string as it is, anything else as JSON; null: none.
     * @param string|null $type  The last event's type; null: none.
     *
     * @return string As of {@see publish()}.
     *
     * @throws SseInvalidArgument The topic, the data or the type breaks a rule.
     * @throws SseUnavailable     Nobody took the event in time.
     * @throws SseException       Anything else that the message says.
     * @throws JsonException      The data can't be encoded.
     */
    public function finish(string $topic, mixed $data = null, ?string $type = null): string;
}
