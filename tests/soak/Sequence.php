<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/**
 * The one order of all events, from the hub's own ids, from what publishers were told one after the other, and from what
 * readers saw one after the other.
 */
final class Sequence
{
    /** @var array<int, int> place by number */
    public readonly array $places;
    /** @var list<Entry> accepted events that nobody has seen, and whose place is therefore not known */
    public array $floating = [];
    /** @var array<int, int> by number, for events without a stamp, one that they are surely before */
    private readonly array $latest;

    /**
     * @param list<list<int>> $seen numbers of events that were seen one after the other
     * @param callable(string, string, int, string, string): void $violate is told of contradictions, as Verifier::violate()
     */
    public function __construct(private readonly Ledger $ledger, array $seen, callable $violate)
    {
        $stamps = $stamped = [];
        $accepted = $later = [];
        foreach ($this->ledger->entries as $entry) {
            if (!$entry->exists) {
                continue;
            }
            if ($entry->stamp === 0 && !$entry->placed) {
                $this->floating[] = $entry;
                continue;
            }
            $stamps[$entry->number] = $entry->stamp;
            if ($entry->stamp > 0) {
                $stamped[$entry->number] = $entry->stamp;
            }
            if ($entry->state === Entry::ACCEPTED) {
                $chain = $accepted[$entry->publisher] ?? [];
                $last = $chain === [] ? null : $this->ledger->entries[end($chain)];
                if ($last !== null && $entry->stamp > 0 && $last->stamp > $entry->stamp) {
                    $what = "$entry->key ($entry->id) was published after $last->key, and is before it";
                    $violate('reordered', $what, $entry->answered, $entry->publisher, $entry->key);
                } else {
                    $accepted[$entry->publisher][] = $entry->number;
                }
            } elseif (isset($accepted[$entry->publisher])) {
                // Tried when that one was there.
                $later[] = [end($accepted[$entry->publisher]), $entry->number];
            }
        }
        asort($stamped);
        $chains = [...array_values($accepted), ...$later, ...$this->behindWhatWasKnown($stamps)];
        foreach ($seen as $chain) {
            $chains[] = array_values(array_filter($chain, static fn (int $number): bool => isset($stamps[$number])));
        }
        $this->latest = self::latest($stamps, $chains);
        $order = new Order($stamps, [array_keys($stamped), ...$chains]);
        $this->places = $order->places;
        if ($order->contradicting !== []) {
            $some = array_slice($order->contradicting, 0, 10);
            $keys = array_map(fn (int $number): string => $this->ledger->entries[$number]->key, $some);
            $violate(
                'reordered',
                sprintf('%d events came in different orders: %s', count($order->contradicting), implode(' ', $keys)),
                $this->ledger->entries[$some[0]]->tried,
                'readers',
                $keys[0],
            );
        }
    }

    /** Whether the one is surely before the other, and not only as early as it can be. */
    public function isBefore(Entry $one, Entry $other): bool
    {
        return $one->stamp > 0 || $other->stamp === 0 || ($this->latest[$one->number] ?? PHP_INT_MAX) <= $other->stamp;
    }

    /**
     * @param list<string> $patterns
     * @return array{list<Entry>, array<int, int>} all events of these topics in order, and the rank of each by its number
     */
    public function expected(array $patterns): array
    {
        $mine = $ranks = [];
        foreach ($this->places as $number => $place) {
            if (Topics::match($patterns, $this->ledger->entries[$number]->topics)) {
                $ranks[$number] = count($mine);
                $mine[] = $this->ledger->entries[$number];
            }
        }

        return [$mine, $ranks];
    }

    /**
     * What is tried when somebody knows of another event comes behind that.
     *
     * @param array<int, int> $stamps
     * @return list<array{int, int}> for each event without a stamp the newest that was known, and itself
     */
    private function behindWhatWasKnown(array $stamps): array
    {
        $times = [];
        foreach ($stamps as $number => $stamp) {
            $entry = $this->ledger->entries[$number];
            $times[] = [$stamp > 0 ? $entry->known : $entry->tried, $stamp, $number];
        }
        sort($times);
        [$chains, $newest] = [[], null];
        foreach ($times as [, $stamp, $number]) {
            if ($stamp === 0 && $newest !== null) {
                $chains[] = [$newest, $number];
            } elseif ($stamp > 0 && ($newest === null || $stamp > $stamps[$newest])) {
                $newest = $number;
            }
        }

        return $chains;
    }

    /**
     * @param array<int, int> $stamps
     * @param list<list<int>> $chains
     * @return array<int, int> for events without a stamp one that they are surely before
     */
    private static function latest(array $stamps, array $chains): array
    {
        $latest = [];
        foreach ($chains as $chain) {
            $next = PHP_INT_MAX;
            foreach (array_reverse($chain) as $number) {
                if ($stamps[$number] > 0) {
                    $next = $stamps[$number];
                } else {
                    $latest[$number] = min($latest[$number] ?? PHP_INT_MAX, $next);
                }
            }
        }

        return $latest;
    }
}
