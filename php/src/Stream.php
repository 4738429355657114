<?php

declare(strict_types=1);

namespace Sse;

use Closure;
use SseException;
use SseInvalidArgument;
use SseUnavailable;

/**
 * The arguments of one sse_stream() call, as an object: for those who prefer it, and for the adapters.
 *
 * It checks nothing: that is sse_stream()'s part, when the stream is opened. Each method returns another object.
 *
 * ```php
 * use Sse\Stream;
 *
 * Stream::of('orders.*', 'news')
 *     ->heartbeat(10)
 *     ->retry(500)
 *     ->open();
 * ```
 *
 * The same with sse_stream()'s own option names: `new Stream(['orders.*', 'news'], heartbeat: 10, retry: 500)`.
 */
final class Stream
{
    private ?Closure $render;

    /** @var array<int|string, mixed> */
    private array $options;

    /**
     * @param string|array<string> $topics     A pattern, or a list of them.
     * @param callable|null        $render     See {@see render()}.
     * @param mixed                ...$options Options of sse_stream(), as named arguments.
     */
    public function __construct(private string|array $topics, ?callable $render = null, mixed ...$options)
    {
        $this->render = $render === null ? null : $render(...);
        $this->options = $options;
    }

    /** @param string ...$topics Patterns of the topics to be watched: at least one. */
    public static function of(string ...$topics): self
    {
        return new self(array_values($topics));
    }

    /**
     * Makes what is sent from what happened; without it, events are sent as they were published.
     *
     * @param callable(list<\SseEvent>, string=): mixed $render Called with the events since its last run (none in the
     *                                                          first); after streamId() also with the public id.
     */
    public function render(callable $render): self
    {
        $stream = clone $this;
        $stream->render = $render(...);

        return $stream;
    }

    /** The name of the events that the callback's values become. */
    public function event(string $name): self
    {
        return $this->with('event', $name);
    }

    /** Whether the callback runs when the stream is opened, too (it does unless told otherwise). */
    public function initial(bool $run = true): self
    {
        return $this->with('initial', $run);
    }

    /** Runs the callback every so many seconds, also when nothing was published. */
    public function poll(float $seconds): self
    {
        return $this->with('poll', $seconds);
    }

    /** Runs the callback once for all streams of this script that have the same key. */
    public function share(string $key): self
    {
        return $this->with('share', $key);
    }

    /** Asks the application every so many seconds whether this client may still watch. */
    public function reauthorize(int $seconds): self
    {
        return $this->with('reauthorize', $seconds);
    }

    /** Whether a value that is the same as the last one is left out (it is unless told otherwise). */
    public function onlyChanges(bool $only = true): self
    {
        return $this->with('only_changes', $only);
    }

    /** Sends a comment after so many seconds of silence; 0: never. */
    public function heartbeat(int $seconds): self
    {
        return $this->with('heartbeat', $seconds);
    }

    /** Tells the client to reconnect after so many milliseconds; 0: not told. */
    public function retry(int $milliseconds): self
    {
        return $this->with('retry', $milliseconds);
    }

    /** Ends the stream after so many seconds, less a random tenth at most: the client comes back; 0: never. */
    public function maxLifetime(int $seconds): self
    {
        return $this->with('max_lifetime', $seconds);
    }

    /** Counts the stream as one of this user's, who may have so many; null: as the settings say. */
    public function user(string $key, ?int $maxStreams = null): self
    {
        $stream = $this->with('user', $key);

        return $maxStreams === null ? $stream : $stream->with('max_per_user', $maxStreams);
    }

    /**
     * The user's oldest stream ends when there would be one too many, in place of an answer of 429 to the new one.
     *
     * Its client comes back after 30 seconds at the earliest, and gets an event `replaced` at which it may stop.
     */
    public function replaceOldest(bool $replace = true): self
    {
        return $this->with('over_limit', $replace ? 'replace' : 'refuse');
    }

    /** Tells the client the stream's public id first, by which its later requests can name it. */
    public function streamId(bool $tell = true): self
    {
        return $this->with('stream_id', $tell);
    }

    /** Gives the client the last value of each topic first: what was published with `retain`. */
    public function retained(bool $first = true): self
    {
        return $this->with('retained', $first);
    }

    /** The client is told each event at a random moment within so many milliseconds, up to 60000. */
    public function spread(int $milliseconds): self
    {
        return $this->with('spread', $milliseconds);
    }

    /**
     * Shows who is there: the user is a member of the stream's topics, as sse_presence() tells.
     *
     * @param int|string $id   Who they are.
     * @param mixed      $info What others are told of them, at most 4096 bytes as JSON.
     */
    public function presence(int|string $id, mixed $info = null): self
    {
        return $this->with('presence', ['id' => $id, 'info' => $info]);
    }

    /** The client is told who is there: first by a list, then by joins and leaves. */
    public function presenceEvents(bool $events = true): self
    {
        return $this->with('presence_events', $events);
    }

    /** False: serves the stream in this worker. */
    public function detach(bool $detach): self
    {
        return $this->with('detach', $detach);
    }

    /** Sends a response header, in place of one of the same name. */
    public function header(string $name, string $value): self
    {
        $headers = $this->options['headers'] ?? [];

        // What is none stays, for sse_stream() to refuse.
        return is_array($headers) ? $this->with('headers', [$name => $value] + $headers) : $this;
    }

    /**
     * Opens the stream: calls sse_stream(). What that function says of its arguments and of the response holds here.
     *
     * @return bool True at once, when the hub has the stream; false, when the response is complete.
     *
     * @throws SseInvalidArgument A topic or an option breaks a rule.
     * @throws SseUnavailable     There is no hub, or it does not answer in time.
     * @throws SseException       The headers are already sent.
     */
    public function open(): bool
    {
        // @mago-expect analysis:possibly-invalid-argument - it refuses an option that has no name, too.
        return \sse_stream($this->topics, $this->render, $this->options);
    }

    private function with(string $option, mixed $value): self
    {
        $stream = clone $this;
        $stream->options[$option] = $value;

        return $stream;
    }
}
