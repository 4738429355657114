<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Closure;
use SseException;
use SseUnavailable;

/** Events and notifications that wait for the successful end of the request. */
final class Held
{
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;

    /** @var list<array{Record, ?string, bool}> event, key, whether it is retained */
    private array $events = [];
    /** @var array<string, true> topics */
    private array $notifications = [];
    private int $bytes = 0;
    private int $process = 0;

    /** @param Closure(): Store $store this process's */
    public function __construct(private readonly Closure $store, private readonly int $mostBytes)
    {
    }

    public function publish(Record $event, ?string $key, bool $retain): void
    {
        if (!$this->reserve($event->size())) {
            throw new SseException(
                "sse.commit_bytes allows $this->mostBytes bytes to be held back until the end of the request, and there "
                . 'are more; raise it, or publish some of them at once',
            );
        }
        $this->events[] = [$event, $key, $retain];
    }

    /** @param list<string> $topics */
    public function notify(array $topics): bool
    {
        if (!$this->reserve(array_sum(array_map(strlen(...), $topics)))) {
            return false;
        }
        $this->notifications += array_fill_keys($topics, true);

        return true;
    }

    private function reserve(int $bytes): bool
    {
        if ($this->bytes + $bytes > $this->mostBytes) {
            return false;
        }
        $this->bytes += $bytes;
        if ($this->process !== getmypid()) {
            // What a forked child has from its parent is the parent's.
            [$this->events, $this->notifications] = $this->process === 0 ? [$this->events, $this->notifications] : [[], []];
            $this->process = (int) getmypid();
            // Behind those functions that are there already, and those that they add.
            register_shutdown_function(static function (self $held): void {
                register_shutdown_function($held->end(...));
            }, $this);
        }

        return true;
    }

    private function end(): void
    {
        if ($this->process !== getmypid()) {
            return;
        }
        $events = $this->events;
        $notifications = array_map(strval(...), array_keys($this->notifications));
        [$this->events, $this->notifications, $this->bytes, $this->process] = [[], [], 0, 0];
        $error = error_get_last();
        $status = http_response_code();
        if (($error !== null && ($error['type'] & self::FATAL) !== 0) || (is_int($status) && $status >= 500)) {
            return;
        }
        try {
            foreach ($events as $i => [$event, $key, $retain]) {
                ($this->store)()->publish($event, $key, $retain);
                unset($events[$i]);
            }
            if ($notifications !== []) {
                ($this->store)()->notify($notifications);
            }
        } catch (SseUnavailable $problem) {
            $count = count($events);
            error_log("php-sse: $count events were not published at the end of the request: {$problem->getMessage()}");
        }
    }
}
