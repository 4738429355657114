<?php

declare(strict_types=1);

namespace Sse;

/**
 * One publication, as an object: what {@see PublisherInterface::publish()} takes.
 *
 * The names are those of the HTML standard, "Server-sent events": data, type, retry. The id is the hub's, and
 * publish() returns it. The object checks nothing: that is the publisher's part.
 *
 * ```php
 * new Event('orders.42', ['status' => 'paid'], type: 'order')
 * ```
 */
final class Event
{
    /** @var list<string> */
    public readonly array $topics;

    /**
     * @param string|array<string> $topics A topic, or a list of them; no wildcards.
     * @param mixed                $data   A string is sent as it is; anything else as JSON.
     * @param string|null          $type   The event's type; null: browsers dispatch it as `message`.
     * @param int|null             $retry  Reconnection time for the clients that get it, in milliseconds; null: not
     *                                     told.
     * @param string|null          $except The public id of a stream that does not get it: that of the client which has
     *                                     caused it.
     * @param bool                 $retain Whether it becomes the last value of its topics.
     * @param string|null          $key    Names the publication: a second one with this key publishes nothing and has
     *                                     the first one's id.
     * @param bool                 $latest Whether it replaces an older one of the same topics that still waits for a
     *                                     client.
     * @param int                  $spread Milliseconds within which each client is told, at a random moment.
     * @param string|null          $traceparent W3C's Trace Context of what publishes; null: that of the span of OpenTelemetry which is
     *                                     current when the event is published, if its API is loaded ({@see Trace}).
     */
    public function __construct(
        string|array $topics,
        public readonly mixed $data,
        public readonly ?string $type = null,
        public readonly ?int $retry = null,
        public readonly ?string $except = null,
        public readonly bool $retain = false,
        public readonly ?string $key = null,
        public readonly bool $latest = false,
        public readonly int $spread = 0,
        public readonly ?string $traceparent = null,
    ) {
        $this->topics = is_string($topics) ? [$topics] : array_values($topics);
    }

    /** The same event with other data. */
    public function withData(mixed $data): self
    {
        return new self(
            $this->topics,
            $data,
            $this->type,
            $this->retry,
            $this->except,
            $this->retain,
            $this->key,
            $this->latest,
            $this->spread,
            $this->traceparent,
        );
    }
}
