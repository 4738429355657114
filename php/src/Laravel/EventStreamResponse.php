<?php

declare(strict_types=1);

namespace Sse\Laravel;

use Closure;
use Illuminate\Contracts\Support\Arrayable;
use Illuminate\Contracts\Support\Jsonable;
use Sse\Stream;
use Sse\Symfony\StreamResponse;
use SseEnd;
use SseEvent;

/**
 * What Laravel's response()->eventStream() sends, by a stream that holds no worker: `response()->sseStream()`.
 *
 * ```php
 * Route::get('/jobs/{job}/progress', fn (Job $job) => response()->sseStream("jobs.$job->id", function () use ($job) {
 *     yield $job->progress();
 *     if ($job->isDone()) {
 *         yield new SseEnd();
 *     }
 * }));
 * ```
 *
 * The callback runs at the beginning, and again whenever one of the topics is notified or published to, in a request of its own.
 * What it yields are events of the type `update`, or Illuminate\Http\StreamedEvents: texts as they are, the rest as JSON. A SseEnd ends the
 * stream, with Laravel's own last event: `</stream>`.
 */
final class EventStreamResponse extends StreamResponse
{
    private const TYPE = 'update';
    /** Laravel has it from 11 on. */
    private const STREAMED_EVENT = 'Illuminate\Http\StreamedEvent';

    /**
     * @param string|array<string>                            $topics        A pattern, or a list of them.
     * @param Closure(list<SseEvent>): mixed                  $messages      Gets what has happened since its last run. An iterable
     *                                                                       is a list of messages, anything else one; null: none.
     * @param array<string, string|list<string>>              $headers       Further response headers.
     * @param object|string|null                              $endStreamWith The last event of a SseEnd without data: a text, or a
     *                                                                       StreamedEvent. Null: none.
     * @param mixed                                           ...$options    Options of sse_stream(), as named arguments.
     */
    public function __construct(
        string|array $topics,
        private readonly Closure $messages,
        array $headers = [],
        private readonly object|string|null $endStreamWith = '</stream>',
        mixed ...$options,
    ) {
        parent::__construct(new Stream($topics, $this->render(...), ...$options), $headers);
    }

    /**
     * The macro `response()->sseStream()`, with the constructor's arguments.
     *
     * @param string|array<string>               $topics
     * @param Closure(list<SseEvent>): mixed     $callback
     * @param array<string, string|list<string>> $headers
     */
    public static function of(
        string|array $topics,
        Closure $callback,
        array $headers = [],
        object|string|null $endStreamWith = '</stream>',
        mixed ...$options,
    ): self {
        return new self($topics, $callback, $headers, $endStreamWith, ...$options);
    }

    /**
     * @param list<SseEvent> $events
     *
     * @return iterable<SseEvent|SseEnd>
     */
    private function render(array $events): iterable
    {
        $messages = ($this->messages)($events);
        foreach (is_iterable($messages) ? $messages : [$messages] as $message) {
            if ($message instanceof SseEnd) {
                yield $message->data === null ? self::end($this->endStreamWith) : $message;

                return;
            }
            if ($message !== null) {
                yield self::event($message);
            }
        }
    }

    private static function end(object|string|null $with): SseEnd
    {
        if ($with === null || $with === '') {
            return new SseEnd();
        }
        $event = self::event($with);

        return new SseEnd($event->data, $event->event);
    }

    private static function event(mixed $message): SseEvent
    {
        if ($message instanceof SseEvent) {
            return $message;
        }
        $type = self::TYPE;
        if (is_object($message) && is_a($message, self::STREAMED_EVENT)) {
            $streamed = get_object_vars($message);
            $type = is_string($streamed['event'] ?? null) ? $streamed['event'] : self::TYPE;
            $message = $streamed['data'] ?? null;
        }

        return new SseEvent(match (true) {
            is_int($message), is_float($message) => (string) $message,
            $message instanceof Jsonable => $message->toJson(),
            $message instanceof Arrayable => $message->toArray(),
            default => $message,
        }, $type);
    }
}
