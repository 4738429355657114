<?php

declare(strict_types=1);

// The extension's classes, where it is missing. What they are is said in stubs/sse.stub.php.

use Sse\Polyfill;
use Sse\Polyfill\ReadEvent;
use Sse\Polyfill\Reader;
use Sse\Rules;

class SseException extends RuntimeException
{
}

class SseUnavailable extends SseException
{
}

class SseInvalidArgument extends SseException
{
}

final class SseEvent
{
    public readonly string $id;
    public readonly string $topic;
    public readonly ?string $event;
    public readonly mixed $data;
    public readonly bool $isTrigger;
    /** Always null: the polyfill's file does not keep it. */
    public readonly ?string $traceparent;

    public function __construct(mixed $data = null, ?string $event = null, string|int|null $id = null)
    {
        $id = $id === null ? null : (string) $id;
        Rules::checkLine('event id', $id);
        Rules::checkLine('event type', $event);
        $this->id = $id ?? '';
        $this->topic = '';
        $this->event = $event;
        $this->data = $data;
        $this->isTrigger = false;
        $this->traceparent = null;
    }
}

final class SseEnd
{
    public readonly ?string $id;

    public function __construct(
        public readonly mixed $data = null,
        public readonly ?string $event = null,
        string|int|null $id = null,
    ) {
        $this->id = $id === null ? null : (string) $id;
        Rules::checkLine('event id', $this->id);
        Rules::checkLine('event type', $event);
    }
}

final class SseReceipt
{
    public function __construct(
        public readonly string $id,
        public readonly ?int $watchers = null,
        public readonly bool $duplicate = false,
    ) {
        if ($watchers !== null && $watchers < 0) {
            throw new SseInvalidArgument(
                "SseReceipt::__construct(): \$watchers must not be negative, $watchers given",
            );
        }
    }
}

final class SseTrigger
{
    private function __construct()
    {
    }

    public static function push(string ...$topics): bool
    {
        return Polyfill::notify(array_values($topics), false);
    }

    public static function defer(string ...$topics): bool
    {
        return Polyfill::notify(array_values($topics), true);
    }
}

/** @implements Iterator<int, SseEvent> */
final class SseSubscription implements Iterator
{
    private readonly Reader $reader;
    private readonly ?float $timeout;
    /** @var list<SseEvent> */
    private array $ready = [];
    private ?SseEvent $current = null;
    private int $count = 0;
    private bool $begun = false;

    /**
     * @param string|array<string> $topics
     * @param array<string, mixed> $options
     */
    public function __construct(string|array $topics, array $options = [])
    {
        $this->reader = Polyfill::subscribe($topics, $options);
        $timeout = $options['timeout'] ?? null;
        $this->timeout = is_int($timeout) || is_float($timeout) ? (float) $timeout : null;
        $this->ready = $this->reader->isGap() ? [ReadEvent::make('**')] : [];
    }

    public function current(): mixed
    {
        return $this->current;
    }

    public function key(): int
    {
        return $this->count;
    }

    public function next(): void
    {
        $this->begun = true;
        $this->count += $this->current === null ? 0 : 1;
        $this->current = null;
        $deadline = $this->timeout === null ? INF : microtime(true) + $this->timeout;
        while (true) {
            $this->current = array_shift($this->ready);
            if ($this->current !== null || microtime(true) >= $deadline) {
                return;
            }
            $this->ready = $this->reader->events();
            if ($this->ready === []) {
                Polyfill::pause($deadline);
            }
        }
    }

    public function rewind(): void
    {
        if (!$this->begun) {
            $this->next();
        }
    }

    public function valid(): bool
    {
        return $this->current !== null;
    }
}
