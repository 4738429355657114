<?php

declare(strict_types=1);

namespace Sse\Publisher;

use Sse\Event;
use Sse\PublisherInterface;
use SseReceipt;

/** Publishes nothing, and checks nothing: for a command or a test that nobody watches. */
final class NullPublisher implements PublisherInterface
{
    public function publish(Event $event): string
    {
        return '';
    }

    public function publishWithReceipt(Event $event): SseReceipt
    {
        return new SseReceipt('', 0);
    }

    public function notify(string ...$topics): bool
    {
        return $topics !== [];
    }

    public function finish(string $topic, mixed $data = null, ?string $type = null): string
    {
        return '';
    }
}
