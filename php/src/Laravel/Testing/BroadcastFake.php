<?php

declare(strict_types=1);

namespace Sse\Laravel\Testing;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Config\Repository;
use Illuminate\Contracts\Foundation\Application;
use LogicException;
use Sse\Event;
use Sse\Laravel\ChannelTopics;
use Sse\Laravel\Socket;
use Sse\Publisher\InMemoryPublisher;
use Sse\PublisherInterface;

/**
 * Keeps what the application broadcasts, for its tests: nothing leaves the process, and what the hub would refuse is refused.
 *
 * ```php
 * $broadcasts = BroadcastFake::of($this->app);
 * $this->post('/orders/1/pay');
 *
 * $broadcasts->assertBroadcast('private-orders.1', OrderPaid::class, fn (array $data) => $data['title'] === 'tea');
 * $broadcasts->assertNothingBroadcast('private-orders.2');
 * ```
 *
 * Where Laravel's Event::fake() keeps the event from being broadcast, here all of Laravel's broadcasting has run: channels, payload,
 * toOthers(), the queue if it is `sync`.
 */
final class BroadcastFake
{
    private function __construct(private readonly InMemoryPublisher $publisher, private readonly ChannelTopics $topics)
    {
    }

    /** From now on the application broadcasts to the fake, whatever it broadcasts by otherwise. */
    public static function of(Application $app): self
    {
        $publisher = new InMemoryPublisher();
        $app->instance(PublisherInterface::class, $publisher);
        $config = $app->make(Repository::class);
        $manager = $app->make(BroadcastManager::class);
        $topics = $app->make(ChannelTopics::class);
        if (!$config instanceof Repository || !$manager instanceof BroadcastManager || !$topics instanceof ChannelTopics) {
            throw new LogicException('the application has no SseServiceProvider');
        }
        $config->set('broadcasting.default', 'sse');
        // One that was made before has the publisher from before.
        $manager->purge('sse');

        return new self($publisher, $topics);
    }

    /**
     * What was broadcast on a channel, oldest first.
     *
     * @param string      $channel As the client names it, with `private-` or `presence-`.
     * @param string|null $name    The event's class, or what its broadcastAs() says; null: all.
     *
     * @return list<Event> Their data is the payload.
     */
    public function on(string $channel, ?string $name = null): array
    {
        return array_values(array_filter(
            $this->publisher->events($this->topics->topic($channel)),
            static fn (Event $event): bool => $name === null || $event->type === $name,
        ));
    }

    /**
     * Such an event was broadcast on the channel.
     *
     * @param (callable(mixed, Event): bool)|null $which What else holds for its payload; null: any.
     */
    public function assertBroadcast(string $channel, string $name, ?callable $which = null): void
    {
        $this->publisher->assertPublished(
            $this->topics->topic($channel),
            static fn (Event $event): bool => $event->type === $name && ($which === null || $which($event->data, $event)),
        );
    }

    /** Such an event was broadcast on the channel for all but the page with this socket id: `toOthers()`. */
    public function assertBroadcastToOthers(string $channel, string $name, string $socket): void
    {
        $sender = Socket::of($socket);
        $this->assertBroadcast($channel, $name, static function (mixed $data, Event $event) use ($sender): bool {
            $mark = is_array($data) ? $data['socket'] ?? null : null;

            return $event->except === $sender->stream && $mark === $sender->mark;
        });
    }

    /** So many events were broadcast on the channel. */
    public function assertBroadcastCount(int $count, string $channel): void
    {
        $this->publisher->assertPublishedCount($count, $this->topics->topic($channel));
    }

    /** Nothing was broadcast on the channel; without one, nothing at all. */
    public function assertNothingBroadcast(?string $channel = null): void
    {
        $this->publisher->assertNothingPublished($channel === null ? null : $this->topics->topic($channel));
    }
}
