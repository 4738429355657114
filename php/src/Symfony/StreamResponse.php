<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Stream;
use Symfony\Component\HttpFoundation\StreamedResponse;

/**
 * A Symfony response that becomes an event stream when it is sent: after the response listeners, whose headers and
 * cookies go out with it, and after the session is saved.
 *
 * ```php
 * #[Route('/orders/stream')]
 * public function orders(): Response
 * {
 *     $user = $this->getUser()->getUserIdentifier();
 *
 *     return new StreamResponse(new Stream(Topic::of('users', $user, 'orders') . '.*', retry: 500));
 * }
 * ```
 *
 * {@see \Sse\Topic::of()} encodes the identifier: as it is, that of a user who is called `*` would watch everybody's orders.
 */
class StreamResponse extends StreamedResponse
{
    /** @param array<string, string|list<string>> $headers further response headers */
    public function __construct(Stream $stream, array $headers = [])
    {
        parent::__construct(
            static function () use ($stream): void {
                $stream->open();
            },
            200,
            // Listeners that rewrite pages leave this type alone.
            ['Content-Type' => 'text/event-stream', 'Cache-Control' => 'no-cache, no-transform'] + $headers,
        );
    }
}
