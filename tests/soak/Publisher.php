<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use SseException;
use Throwable;

/** Publishes at random, and keeps book of each attempt. */
final class Publisher
{
    /** Modes of publishing that end without an answer. */
    private const UNANSWERED = ['async', 'commit'];

    private int $number = 0;

    /**
     * @param callable(Draft, string): string $send publishes in a mode and returns the id, or throws
     * @param array<string, int> $modes how often which is used, by name; `rollback` is `commit` in a request that fails
     */
    public function __construct(
        private readonly string $name,
        private readonly Chance $chance,
        private readonly Journal $journal,
        private $send,
        private readonly array $modes = ['ack' => 1],
    ) {
    }

    public function run(Control $control, float $rate): void
    {
        while ($control->publishes()) {
            // One after the other, a few at once, and now and then many.
            for ($burst = $this->chance->percent(2) ? 30 : $this->chance->whole(1, 3); $burst > 0; $burst--) {
                $draft = Draft::random($this->chance, $this->name, ++$this->number);
                $this->publish($draft, $this->chance->weighted($this->modes));
            }
            $this->chance->pause(0, 4 / $rate);
        }
    }

    /**
     * Publishes the events that readers wait for at the end, one for each topic, each until it is accepted.
     *
     * @return list<string> their keys
     */
    public function markers(Control $control, float $seconds): array
    {
        $end = microtime(true) + $seconds;
        $keys = [];
        foreach (Topics::ALL as $topic) {
            do {
                $key = "$this->name-" . ++$this->number;
                $accepted = $this->publish(new Draft($key, [$topic], "$key $topic the end"), 'ack');
                if (!$accepted && (microtime(true) > $end || !$control->isCalled())) {
                    throw new \RuntimeException("the last event of $topic is not accepted within $seconds s");
                }
            } while (!$accepted);
            $keys[] = $key;
        }

        return $keys;
    }

    private function publish(Draft $draft, string $mode): bool
    {
        $key = $draft->key;
        $topics = implode(',', $draft->topics);
        $this->journal->write('try', $key, $topics, $draft->id ?? '', $draft->name ?? '', $draft->hash(), $mode);
        try {
            $id = ($this->send)($draft, $mode);
        } catch (Throwable $thrown) {
            $this->journal->write('threw', $key, $thrown::class, substr($thrown->getMessage(), 0, 300));

            return false;
        }
        match (true) {
            $mode === 'rollback' => $this->journal->write('dropped', $key),
            in_array($mode, self::UNANSWERED, true) => $this->journal->write('sent', $key),
            default => $this->journal->write('ok', $key, $id),
        };

        return true;
    }
}
