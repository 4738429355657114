<?php

declare(strict_types=1);

namespace Sse\Psr15;

use Closure;
use Psr\Http\Message\ResponseFactoryInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use Sse\Psr7\EventStream;
use Sse\Stream;

/**
 * A PSR-15 handler that answers with an event stream, which is opened when the response is emitted.
 *
 * ```php
 * $handler = new StreamHandler(
 *     responses: new Psr17Factory(),
 *     stream: fn ($request) => Stream::of(Topic::of('users', $request->getAttribute('user')) . '.**'),
 * );
 * $app->get('/events', $handler);
 * ```
 *
 * {@see \Sse\Topic::of()} encodes the identifier: as it is, that of a user who is called `*` would watch everybody's topics.
 */
final class StreamHandler implements RequestHandlerInterface
{
    /** @param Closure(ServerRequestInterface): Stream $stream what this client watches */
    public function __construct(
        private readonly ResponseFactoryInterface $responses,
        private readonly Closure $stream,
    ) {
    }

    public function handle(ServerRequestInterface $request): ResponseInterface
    {
        return EventStream::respond($this->responses->createResponse(), ($this->stream)($request));
    }
}
