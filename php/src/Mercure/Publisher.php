<?php

declare(strict_types=1);

namespace Sse\Mercure;

use SseException;
use SseInvalidArgument;
use SseUnavailable;

/**
 * Publishes updates to Mercure's clients, without HTTP and without a token: this is the site's own code.
 *
 * ```php
 * (new Publisher())->publish('https://example.com/books/1', json_encode($book));
 * ```
 */
final class Publisher
{
    /** @param string|null $mode `ack`, `async` or `commit`, see sse_publish(); null: as `sse.publish` says. */
    public function __construct(private readonly ?string $mode = null)
    {
    }

    /**
     * Publishes an update to all that subscribe to one of its topics.
     *
     * @param string|array<string> $topics  Its topics, mostly IRIs of 1 to 1,024 bytes; `sse.max_topics` at most.
     * @param string               $data    What is sent, in UTF-8.
     * @param bool                 $private Whether only those get it who may get one of its topics.
     * @param string|null          $id      Its id: up to 255 bytes, no line break; null or empty: a new `urn:uuid:…`.
     * @param string|null          $type    The event's type; null or empty: browsers dispatch it as `message`.
     * @param int|null             $retry   Reconnection time for the clients that get it, in milliseconds; null: not
     *                                      told.
     *
     * @return string The update's id.
     *
     * @throws SseInvalidArgument Something breaks a rule; the message says what.
     * @throws SseUnavailable     There is no hub, or it does not answer in time.
     * @throws SseException       Anything else that the message says.
     */
    public function publish(
        string|array $topics,
        string $data = '',
        bool $private = false,
        ?string $id = null,
        ?string $type = null,
        ?int $retry = null,
    ): string {
        $names = array_map(
            static fn (string $topic): string => Name::topic($topic, $private),
            array_values((array) $topics),
        );
        $id = $id === null || $id === '' ? Urn::random() : $id;
        \sse_publish($names, $data, event: $type === '' ? null : $type, id: $id, retry: $retry, mode: $this->mode);

        return $id;
    }
}
