<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use RuntimeException;

/** Reads like a browser on a bad line: leaves, stops reading, comes back with the last id it has, and keeps book of all. */
final class Reader
{
    /** Ids that it may go back to. */
    private const KEPT = 50;

    /** @var list<string> the ids it got last */
    private array $ids = [];
    private ?string $last;
    private bool $isCalm = false;
    /** @var array<string, true> keys of events that were the last of their topics */
    private array $got = [];

    /**
     * @param list<string> $patterns
     * @param array<string, int> $habits what it does every few seconds, and how often; none: it only reads
     * @param callable(): ?string $cursor asks for the id of the newest event, as a page does
     */
    public function __construct(
        private readonly Source $source,
        private readonly array $patterns,
        private readonly array $habits,
        private $cursor,
        private readonly Chance $chance,
        private readonly Journal $journal,
        ?string $last,
    ) {
        $this->last = $last;
    }

    /** Reads until the others have ended, and it has all. */
    public function run(Control $control, float $seconds): void
    {
        $deadline = null;
        while ($control->isCalled()) {
            $this->connect();
            if ($this->stay($control, $deadline, $seconds)) {
                $this->source->close();
                $this->journal->write('finished');

                return;
            }
        }
    }

    private function connect(): void
    {
        do {
            $this->journal->write('connect', $this->last ?? '');
            $refused = $this->source->open($this->last);
            if ($refused !== null) {
                $this->journal->write('closed', "refused: $refused");
                $this->chance->pause(0.02, 0.2);
            }
        } while ($refused !== null);
        $this->journal->write('open');
    }

    /** Reads until the connection is over; true when nothing more is to come. */
    private function stay(Control $control, ?float &$deadline, float $seconds): bool
    {
        $next = microtime(true) + $this->chance->between(0.2, 8);
        while (true) {
            foreach ($this->source->read(0.1) as $delivered) {
                $this->take($delivered);
            }
            if ($this->source->ended() !== null) {
                $this->journal->write('closed', "ended: {$this->source->ended()}");
                $this->source->close();
                $this->chance->pause(0.01, 0.3);

                return false;
            }
            $markers = $control->markers();
            if (!$this->isCalm && $control->isOver()) {
                // From here on it misses nothing.
                $this->isCalm = true;
                $this->journal->write('calm');
            }
            if ($markers !== null) {
                $deadline ??= microtime(true) + $seconds;
                if ($this->hasAll($markers)) {
                    return true;
                }
                if (microtime(true) > $deadline) {
                    throw new RuntimeException("not all came within $seconds s");
                }
            } elseif ($this->habits !== [] && !$this->isCalm && microtime(true) >= $next) {
                $habit = $this->chance->weighted($this->habits);
                if ($this->indulge($habit)) {
                    return false;
                }
                $next = microtime(true) + $this->chance->between(0.2, 8);
            }
            if (!$control->isCalled()) {
                return false;
            }
        }
    }

    private function take(Delivered $delivered): void
    {
        if ($delivered->isGap) {
            $this->journal->write('gap', $delivered->data);

            return;
        }
        $key = Draft::keyOf($delivered->data);
        $this->journal->write('event', $delivered->id, $key, Draft::hashOf($delivered->name, $delivered->data));
        $this->last = $delivered->id;
        $this->ids[] = $delivered->id;
        if (count($this->ids) > 2 * self::KEPT) {
            $this->ids = array_slice($this->ids, -self::KEPT);
        }
        if (str_starts_with($key, 'end-')) {
            $this->got[$key] = true;
        }
    }

    /** @param list<string> $markers */
    private function hasAll(array $markers): bool
    {
        foreach ($markers as $place => $key) {
            if (!isset($this->got[$key]) && Topics::match($this->patterns, [Topics::ALL[$place]])) {
                return false;
            }
        }

        return true;
    }

    /** True when it has left. */
    private function indulge(string $habit): bool
    {
        if ($habit === 'stall') {
            $this->journal->write('stalled');
            $this->chance->pause(0.5, 6);
            $this->journal->write('went-on');

            return false;
        }
        $this->source->close();
        $this->journal->write('closed', $habit);
        match ($habit) {
            'drop' => null,
            'back' => $this->goBack(),
            'page' => $this->loadPage(),
            'afresh' => $this->begin(),
        };
        if ($this->chance->percent(60)) {
            $this->chance->pause(0, 2);
        }

        return true;
    }

    /** With an id that it got earlier, as a page that was kept does. */
    private function goBack(): void
    {
        if ($this->ids !== []) {
            $place = $this->chance->whole(0, count($this->ids) - 1);
            $this->last = $this->ids[$place];
            $this->ids = array_slice($this->ids, 0, $place + 1);
            $this->journal->write('back', $this->last);
        }
    }

    /** Another page: what was published before it is in the page itself. */
    private function loadPage(): void
    {
        $this->journal->write('asks');
        $cursor = ($this->cursor)();
        if ($cursor !== null) {
            $this->last = $cursor;
            $this->ids = [];
            $this->journal->write('page', $cursor);
        }
    }

    /** Another page, which gives no id. */
    private function begin(): void
    {
        $this->last = null;
        $this->ids = [];
        $this->journal->write('afresh');
    }
}
