<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use SseException;
use SseSubscription;

/** Events read by a PHP process. */
final class SubscriptionSource implements Source
{
    /** Events of one read at most. */
    private const MANY = 200;

    private ?SseSubscription $subscription = null;
    private ?string $ended = null;

    /** @param list<string> $patterns */
    public function __construct(private readonly array $patterns)
    {
    }

    public function open(?string $since): ?string
    {
        $this->ended = null;
        // The time that a read waits.
        $options = ['timeout' => 0.1] + ($since === null ? [] : ['last_event_id' => $since]);
        try {
            $this->subscription = new SseSubscription($this->patterns, $options);
        } catch (SseException $exception) {
            return $exception->getMessage();
        }

        return null;
    }

    public function read(float $seconds): array
    {
        $read = [];
        try {
            while (count($read) < self::MANY) {
                $this->subscription->next();
                if (!$this->subscription->valid()) {
                    break;
                }
                $event = $this->subscription->current();
                if (!$event->isTrigger) {
                    $read[] = new Delivered($event->id, $event->event ?? 'message', $event->data);
                } elseif ($event->topic === '**') {
                    $read[] = new Delivered('', 'gap', '', true);
                }
            }
        } catch (SseException $exception) {
            $this->ended = $exception->getMessage();
        }

        return $read;
    }

    public function ended(): ?string
    {
        return $this->ended;
    }

    public function close(): void
    {
        $this->subscription = null;
    }
}
