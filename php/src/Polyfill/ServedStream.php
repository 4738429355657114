<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use Closure;

/**
 * A stream that this worker serves, until its client has left, its time is over, or nothing can come any more.
 *
 * A stream that may hold no worker, as others do already, sends what there is and ends: its client comes back soon, and
 * goes on where it was.
 */
final class ServedStream
{
    /** Bytes of missed events that a stream sends which may hold no worker: what a slow client's connection takes at once. */
    private const WITHOUT_PLACE = 64 << 10;

    private readonly Reader $reader;
    private float $lastWrite = 0.0;
    /** @var Closure(): bool|null */
    private ?Closure $mayGoOn = null;
    private float $nextQuestion = 0.0;
    private bool $isOpen = true;
    private bool $isOver = false;
    private bool $hasSentEvent = false;
    /** Whether a long-poll has what it waits for. */
    private bool $isAnswered = false;
    /** The first bytes, until something is sent with them. */
    private string $opening = '';
    /** What ends these, where no line follows. */
    private string $blank = "\n";
    private string $lastOutput = '';

    public function __construct(
        private readonly StreamOptions $options,
        private readonly Store $store,
        private readonly ?Rendering $rendering,
        private readonly int $poll,
    ) {
        $this->reader = new Reader($store, $options->patterns, $rendering === null ? $options->lastEventId : null);
    }

    /**
     * Serves it.
     *
     * @param callable(): bool $mayStay  asked once the response can begin
     * @param callable(): bool $mayGoOn asked once a second after that
     */
    public function serve(callable $mayStay, callable $mayGoOn): void
    {
        $this->mayGoOn = $mayGoOn(...);
        $first = null;
        if ($this->rendering !== null) {
            StreamResponse::closeSession();
            $first = $this->options->initial ? $this->rendering->run([]) : '';
            $isEnd = $this->rendering->endId() !== null && $this->rendering->endId() === $this->options->lastEventId;
            if ($this->rendering->isOver() && ($first === '' || $isEnd)) {
                StreamResponse::refuseForGood();

                return;
            }
        } elseif ($this->hasAllOfFinished()) {
            StreamResponse::refuseForGood();

            return;
        }
        StreamResponse::begin($this->options->headers);
        if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'HEAD') {
            $mayStay = $mayStay();
            $seconds = $mayStay ? $this->options->lifetime * (1 - mt_rand(0, 100) / 1000) : 0.0;
            $this->lastWrite = microtime(true);
            $deadline = $this->lastWrite + $seconds;
            $this->opening = Frame::opening($seconds > 0 ? $this->options->retry : min($this->options->retry ?: 1000, 1000));
            if ($this->options->streamId !== null) {
                $this->opening .= Frame::event(Frame::json(['stream' => $this->options->streamId]), 'stream');
                $this->blank = '';
            }
            if ($first === null) {
                if ($this->sendMissed($mayStay ? PHP_INT_MAX : self::WITHOUT_PLACE, $mayStay ? $deadline : INF)) {
                    $this->sendEvents($deadline);
                }
            } else {
                $this->send($this->blank . $first);
                $this->lastOutput = $first;
                $this->render($deadline);
            }
        }
        StreamResponse::end();
    }

    /**
     * What comes before all that is new.
     *
     * @param int   $room  Most bytes of it.
     * @param float $until When the stream ends.
     *
     * @return bool whether that was all; the rest is for when the client comes back
     */
    private function sendMissed(int $room, float $until): bool
    {
        $as = $this->options->topicsAs;
        $since = $this->options->lastEventId;
        $from = $since === null || $this->reader->isGap() ? 0 : $this->reader->position();
        // Before what was missed is read: what is published meanwhile comes after it.
        $cursor = EventId::text($this->store->newest());
        $begin = match ($as) {
            null => '',
            'field' => 'heartbeat: ' . $this->options->heartbeat * 1000 . "\ncursor: $cursor\n\n",
            default => Frame::event(Frame::json(['cursor' => $cursor])),
        };
        $told = [];
        foreach ($this->options->retained ? $this->store->lastValues($this->reader->watches(...)) : [] as $value) {
            $begin .= $value->frame($this->options->patterns, $as, true);
            $told[$value->number] = true;
        }
        $room -= strlen($begin);
        if ($begin !== '') {
            $this->send($this->blank . $begin);
        }
        $hasOne = false;
        foreach ($since === null ? [] : $this->missed() as $one) {
            if (!is_string($one) && isset($told[$one->number])) {
                continue;
            }
            $frame = is_string($one) ? $one : $one->frame($this->options->patterns, $as);
            $room -= strlen($frame);
            // One is sent in any case, or a large one would never be; the client comes back after it, as it has an id.
            if (!$this->isOpen || ($hasOne && ($room < 0 || microtime(true) >= $until))) {
                return false;
            }
            $this->sendFirst($frame);
            if (!is_string($one)) {
                $hasOne = true;
                $told[$one->number] = true;
            }
        }
        // The last events of finished topics are kept longer than others.
        foreach ($this->store->finished($this->options->patterns) ?? [] as $end) {
            $this->isOver = true;
            if ($end->number > $from && !isset($told[$end->number])) {
                $this->sendFirst($end->frame($this->options->patterns, $as));
            }
        }
        $cursor = EventId::text($this->store->newest());
        if ($as === 'field') {
            $this->send("id: $cursor\nreached: $cursor\n\n");
        } elseif ($as !== null) {
            $this->send(Frame::event(Frame::json(['reached' => $cursor]), null, $cursor));
        } elseif (!$this->hasSentEvent) {
            // So that a client that gets nothing before it comes back misses nothing.
            $this->send("id: $cursor\n\n");
        }

        return true;
    }

    private function sendEvents(float $deadline): void
    {
        $this->isAnswered = $this->hasSentEvent || $this->options->lastEventId === null;
        while ($this->goesOn($deadline)) {
            [$records, $gap] = $this->reader->look();
            $frames = $gap ? Frame::gap(null, ($records[0] ?? null)?->id()) : '';
            foreach ($records as $record) {
                $frames .= $record->isNotification() ? '' : $record->frame($this->options->patterns, $this->options->topicsAs);
            }
            $this->send($frames);
            $this->isOver = !$this->reader->hasMore() && $this->isFinished();
            $this->isAnswered = $frames !== '';
            if ($this->goesOn($deadline)) {
                $this->wait($frames !== '', $deadline);
            }
        }
    }

    private function goesOn(float $deadline): bool
    {
        $hasAll = $this->isOver || ($this->options->longPoll && $this->isAnswered);

        return $this->isOpen && !$hasAll && microtime(true) < $deadline;
    }

    /**
     * What the client has missed: first the gap, if there is one, then the events.
     *
     * @return iterable<Record|string>
     */
    private function missed(): iterable
    {
        $gap = $this->reader->isGap();
        $this->store->countResumed($gap);
        do {
            [$records, $dropped] = $this->reader->look();
            $events = array_values(array_filter($records, static fn (Record $one): bool => !$one->isNotification()));
            if ($dropped || ($gap && ($events !== [] || !$this->reader->hasMore()))) {
                yield Frame::gap($this->options->lastEventId, ($events[0] ?? null)?->id());
                $gap = false;
            }
            yield from $events;
        } while ($this->reader->hasMore());
    }

    private function render(float $deadline): void
    {
        $rendering = $this->rendering;
        $due = $this->options->poll === null ? INF : microtime(true) + $this->options->poll;
        $this->isAnswered = $this->lastOutput !== '';
        while ($rendering !== null && !$rendering->isOver() && $this->goesOn($deadline)) {
            $events = $this->reader->events();
            $isDue = microtime(true) >= $due;
            if ($events !== [] || $isDue) {
                $output = $rendering->run($events);
                $due = $this->options->poll === null ? INF : microtime(true) + $this->options->poll;
                if ($output !== '' && (!$this->options->onlyChanges || $output !== $this->lastOutput)) {
                    $this->send($output);
                    $this->lastOutput = $output;
                    $this->isAnswered = true;
                }
            }
            $this->wait($events !== [], min($deadline, $due));
        }
    }

    private function send(string $bytes): void
    {
        if ($bytes !== '' || $this->opening !== '') {
            $this->isOpen = StreamResponse::write(Padding::fill($this->opening . $bytes, $this->options->pad)) && $this->isOpen;
            $this->opening = '';
            $this->lastWrite = microtime(true);
        }
    }

    /** Sends an event, or a gap, of those from before; the stream begins with a blank line then. */
    private function sendFirst(string $frame): void
    {
        $this->send(($this->opening === '' ? '' : $this->blank) . $frame);
        $this->hasSentEvent = true;
    }

    /** Waits until the next look, and says that the stream lives, which shows whether its client does. */
    private function wait(bool $didSomething, float $until): void
    {
        if (microtime(true) - $this->lastWrite >= $this->options->heartbeat) {
            $this->send(Frame::HEARTBEAT);
        }
        if (!$didSomething || !$this->reader->hasMore()) {
            usleep(max(0, min($this->poll * 1000, (int) (($until - microtime(true)) * 1e6))));
        }
        $now = microtime(true);
        if ($this->mayGoOn !== null && $now >= $this->nextQuestion) {
            $this->nextQuestion = $now + 1.0;
            $this->isOpen = $this->isOpen && ($this->mayGoOn)();
        }
    }

    /** Whether all topics are finished, and their last events were read. */
    private function isFinished(): bool
    {
        $ends = $this->store->finished($this->options->patterns) ?? [];
        $last = end($ends);

        return $last !== false && $last->number <= $this->reader->position();
    }

    /** Whether the client says that it has the last events of all topics. */
    private function hasAllOfFinished(): bool
    {
        return $this->options->lastEventId !== null && !$this->reader->isGap() && $this->isFinished();
    }
}
