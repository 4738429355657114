<?php

declare(strict_types=1);

namespace Sse;

use Psr\Http\Message\ResponseInterface;
use Sse\Psr7\EventStream;

/**
 * Streams from the action of a controller, whose framework has PSR-7 responses. In CakePHP, `loadComponent('Sse.Sse')`
 * gives the same as `$this->Sse`, see {@see Controller\Component\SseComponent}.
 *
 * ```php
 * return (new Component($response))->stream(
 *     fn () => $notifications->unread($userId),
 *     "notifications_user_$userId",
 *     ['event' => 'notifications'],
 * );
 * ```
 *
 * After a change of what the callback reads: `SseTrigger::push("notifications_user_$userId")`.
 */
final class Component
{
    public function __construct(private readonly ResponseInterface $response)
    {
    }

    /**
     * @param callable             $callback Makes what is sent: at first, and after each wake of a topic. It is called
     *                                       with the events since its last run.
     * @param string|array<string> $topics   What {@see \SseTrigger::push()} is called with, or patterns of it.
     * @param array<string, mixed> $options  Options of sse_stream(); `eventName` is another name of `event`.
     */
    public function stream(callable $callback, string|array $topics, array $options = []): ResponseInterface
    {
        if (isset($options['eventName'])) {
            $options += ['event' => $options['eventName']];
            unset($options['eventName']);
        }
        return EventStream::respond($this->response, new Stream($topics, $callback, ...$options));
    }
}
