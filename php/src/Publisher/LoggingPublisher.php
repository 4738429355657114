<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Psr\Log\LoggerInterface;
use Sse\Event;
use Sse\PublisherInterface;
use SseException;
use SseInvalidArgument;
use SseReceipt;

/**
 * Logs that an event was not taken, in place of throwing: for what is told after the database has it, where the
 * request has succeeded whether or not anybody could be told.
 *
 * ```php
 * $publisher = new LoggingPublisher(new ExtensionPublisher(), $logger);
 * ```
 *
 * A mistake of the caller is still thrown: {@see SseInvalidArgument} and JsonException.
 */
final class LoggingPublisher implements PublisherInterface
{
    public function __construct(
        private readonly PublisherInterface $publisher,
        private readonly LoggerInterface $logger,
    ) {
    }

    public function publish(Event $event): string
    {
        return $this->logged($event->topics, fn (): string => $this->publisher->publish($event)) ?? '';
    }

    public function publishWithReceipt(Event $event): SseReceipt
    {
        $publish = fn (): SseReceipt => $this->publisher->publishWithReceipt($event);

        return $this->logged($event->topics, $publish) ?? new SseReceipt('', 0);
    }

    public function notify(string ...$topics): bool
    {
        $taken = $this->publisher->notify(...$topics);
        if (!$taken) {
            $this->logger->warning('A notification of {topics} was not taken', ['topics' => implode(', ', $topics)]);
        }

        return $taken;
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        return $this->logged([$topic], fn (): string => $this->publisher->finish($topic, $data, $type)) ?? '';
    }

    /**
     * @template T of string|SseReceipt
     *
     * @param list<string>  $topics
     * @param callable(): T $publish
     *
     * @return T|null null: it was not taken
     */
    private function logged(array $topics, callable $publish): string|SseReceipt|null
    {
        try {
            return $publish();
        } catch (SseInvalidArgument $mistake) {
            throw $mistake;
        } catch (SseException $problem) {
            // PSR-3 wants exceptions by this key, and placeholders to be text.
            $this->logger->error('An event of {topics} was not published: {why}', [
                'topics' => implode(', ', $topics),
                'why' => $problem->getMessage(),
                'exception' => $problem,
            ]);

            return null;
        }
    }
}
