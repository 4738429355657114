<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Stream;

/**
 * A {@see StreamResponse} by its topics and options, without a {@see Stream}. Where Symfony's own EventStreamResponse
 * holds a worker for each client, this one hands its connection over.
 *
 * ```php
 * return new EventStreamResponse('orders.*', retry: 500);
 * return new EventStreamResponse('orders', fn (array $events) => $this->orders->latest(), event: 'orders');
 * ```
 */
final class EventStreamResponse extends StreamResponse
{
    /**
     * @param string|array<string> $topics     A pattern, or a list of them.
     * @param callable|null        $render     Makes what is sent, see {@see Stream::render()}.
     * @param mixed                ...$options Options of sse_stream(), as named arguments.
     */
    public function __construct(string|array $topics, ?callable $render = null, mixed ...$options)
    {
        parent::__construct(new Stream($topics, $render, ...$options));
    }
}
