<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/**
 * Reads what all processes wrote down, and finds what should not be.
 *
 * A reader must get, on each connection, what comes after the id it asked for in the one order of all events: all that were
 * accepted, and of the others none or each once and for everybody; only its topics', every byte as it was published. Where
 * something is missing there must be a gap, and a gap must have an excuse. The order is found from the hub's own ids, from
 * what each reader saw one after the other, and from the history's file where there is one; where these contradict each
 * other, readers saw different orders. What a publisher was given ids for comes in the order in which it was published.
 */
final class Verifier
{
    /** Nanoseconds after which an accepted event has to be there, on a connection that reads all the time. */
    private const LATE = 15_000_000_000;

    /** @var list<Violation> */
    public array $violations = [];
    public readonly Counts $counts;

    private readonly Ledger $ledger;
    /** @var array<string, list<string>> patterns of each reader */
    private array $patterns = [];
    /** @var array<string, list<Connection>> */
    private array $connections = [];
    /** @var list<list<int>> numbers of events that were seen one after the other */
    private array $chains = [];
    private Sequence $sequence;

    /**
     * @param callable(int, int, bool): bool $excuses whether a gap between these times may be told; the last: whether
     *     to a reader that has just come, or that may mean something else
     * @param bool $repeats whether a reader of unknown place is told of a gap and sent all that is kept: old events again,
     *     and with holes, for which that gap is told
     * @param bool $several whether there are several hubs: one may be behind, and have news that are old elsewhere
     */
    public function __construct(
        private $excuses,
        private readonly bool $repeats = false,
        private readonly bool $several = false,
    ) {
        $this->ledger = new Ledger();
        $this->counts = new Counts();
    }

    /** @param list<array{int, string, ...}> $lines */
    public function addPublisher(string $name, array $lines): void
    {
        $this->ledger->add($name, $lines);
    }

    /**
     * What the history's file, or Redis, has at the end.
     *
     * @param list<array{string, string, string}> $rows stamp, id and key of each event in order
     * @param bool $complete whether it must have all that was accepted
     */
    public function addFile(array $rows, bool $complete = true): void
    {
        $kept = [];
        foreach ($rows as [$stamp, $id, $key]) {
            $entry = $this->ledger->byKey($key);
            if ($entry === null) {
                $this->violate('foreign', "the file has $id, which nobody published: $key", 0, 'file');
                continue;
            }
            if (isset($kept[$key])) {
                $this->violate('doubled', "the file has $key twice", $entry->tried, 'file', $key);
                continue;
            }
            $kept[$key] = $entry->exists = true;
            $entry->stamp = Entry::stampOf($stamp);
            if (!$this->ledger->name($entry, $id)) {
                $this->violate('changed', "$key was given the id $entry->id, the file has $id", $entry->tried, 'file', $key);
            }
        }
        foreach ($this->ledger->entries as $entry) {
            if ($complete && $entry->state === Entry::ACCEPTED && !isset($kept[$entry->key])) {
                $this->violate('lost', "the file lacks $entry->key ($entry->id)", $entry->answered, 'file', $entry->key);
            }
        }
    }

    /**
     * After all publishers and the file.
     *
     * @param list<string> $patterns
     * @param list<array{int, string, ...}> $lines
     */
    public function addReader(string $name, array $patterns, array $lines): void
    {
        $this->patterns[$name] = $patterns;
        $this->connections[$name] = [];
        [$connection, $asked, $page, $told, $chain] = [null, 0, 0, 0, []];
        /** @var list<Entry> $had what it has now, in order */
        [$had, $seen] = [[], []];
        foreach ($lines as $line) {
            [$time, $kind] = $line;
            switch ($kind) {
                case 'connect':
                    $connection = $this->connections[$name][] = new Connection($time, $line[2], $page, $told);
                    $this->chains[] = $chain;
                    $before = $line[2] === '' ? null : $this->ledger->byId($line[2]);
                    $chain = $before === null ? [] : [$before->number];
                    break;
                case 'open':
                    $connection->opened = $time;
                    break;
                case 'event':
                    $entry = $this->event($name, $connection, $line);
                    if ($entry === null) {
                        break;
                    }
                    $page = $told = null;
                    $entry->exists = true;
                    $entry->known = min($entry->known, $time);
                    $entry->placed = $entry->placed || $patterns === ['**'];
                    if (isset($seen[$entry->key])) {
                        $this->violate('doubled', "$entry->key ($entry->id) came again", $time, $name, $entry->key);
                        break;
                    }
                    $seen[$entry->key] = true;
                    $had[] = $entry;
                    $connection->items[] = [$time, $entry];
                    $last = $chain === [] ? null : $this->ledger->entries[end($chain)];
                    if ($last !== null && $last->stamp > 0 && $entry->stamp > 0 && $last->stamp >= $entry->stamp) {
                        $what = "$entry->key ($entry->id) came after $last->key ($last->id)";
                        $this->violate('reordered', $what, $time, $name, $entry->key);
                        $this->chains[] = $chain;
                        $chain = [];
                    }
                    $chain[] = $entry->number;
                    break;
                case 'gap':
                    $connection->gaps[count($connection->items)] = $line[2] ?? '';
                    if ($this->repeats) {
                        [$had, $seen] = [[], []];
                    }
                    if ($this->repeats && $connection->items === []) {
                        // What comes now may be older. On a stream under way it is not.
                        $this->chains[] = $chain;
                        $chain = [];
                    }
                    $connection->items[] = [$time, null];
                    break;
                case 'went-on':
                    $connection->wentOn = $time;
                    break;
                case 'closed':
                    $connection->closed = $time;
                    $connection->why = $line[2];
                    break;
                case 'back':
                    while ($had !== [] && end($had)->id !== $line[2]) {
                        unset($seen[array_pop($had)->key]);
                    }
                    break;
                case 'asks':
                    $asked = $time;
                    break;
                case 'page':
                    [$page, $told] = [$asked, $time];
                    [$had, $seen] = [[], []];
                    break;
                case 'afresh':
                    $page = $told = $time;
                    [$had, $seen] = [[], []];
                    break;
                case 'finished':
                    $connection->finished = true;
                    $connection->closed = $time;
                    break;
            }
        }
        $this->chains[] = $chain;
    }

    /** After everything was added. */
    public function verify(): void
    {
        $this->sequence = new Sequence($this->ledger, $this->chains, $this->violate(...));
        foreach ($this->connections as $name => $connections) {
            [$mine, $ranks] = $this->sequence->expected($this->patterns[$name]);
            foreach ($connections as $connection) {
                $this->connection($name, $connection, $mine, $ranks);
            }
            $this->floating($name);
            $last = end($connections);
            if ($last === false || !$last->finished) {
                $this->violate('unfinished', 'it has not got the last event of each topic', $last->begun ?? 0, $name);
            }
        }
        $this->count();
    }

    public function violate(string $kind, string $what, int $time, string $who, string $key = ''): void
    {
        $this->violations[] = new Violation($kind, "$who: $what", $time, $who, $key);
    }

    /** @param array{int, string, string, string, string} $line */
    private function event(string $name, Connection $connection, array $line): ?Entry
    {
        [$time, , $id, $key, $hash] = $line;
        $entry = $this->ledger->byKey($key);
        if ($entry === null) {
            $this->violate('foreign', "$id is none that was published: $key", $time, $name);

            return null;
        }
        if (!Topics::match($this->patterns[$name], $entry->topics)) {
            $topics = implode(',', $entry->topics);
            $this->violate('foreign', "$key is of $topics, not of " . implode(',', $this->patterns[$name]), $time, $name, $key);

            return null;
        }
        if ($entry->hash !== $hash) {
            $this->violate('changed', "$key came with other data ($hash, not $entry->hash)", $time, $name, $key);
        }
        if (!$this->ledger->name($entry, $id)) {
            $this->violate('changed', "$key came with the id $id, not $entry->id", $time, $name, $key);
        }
        if ($entry->state === Entry::DROPPED) {
            $this->violate('dropped', "$key came, although its request had failed", $time, $name, $key);
        }
        $old = $entry->state === Entry::ACCEPTED && $entry->answered < $connection->begun;
        if ($connection->since === '' && $old && !$this->several) {
            $what = "$key was accepted before this reader came, and came without being asked for";
            $this->violate('early', $what, $time, $name, $key);
        }

        return $entry;
    }

    /**
     * @param list<Entry> $mine
     * @param array<int, int> $ranks
     */
    private function connection(string $name, Connection $connection, array $mine, array $ranks): void
    {
        if ($connection->opened === 0) {
            return;
        }
        $next = $this->first($connection, $mine);
        $excused = false;
        $forgotten = $this->repeats && ($connection->items[0] ?? [0, true])[1] === null;
        $from = $this->askedAt($connection);
        foreach ($connection->items as $place => [$time, $entry]) {
            if ($entry === null) {
                // A subscription has one word for a gap and for wakes that may have got lost between hubs. Without an
                // excuse for a gap it is no more than that, and excuses nothing.
                $isWake = $this->several && $connection->gaps[$place] === '';
                if (!$isWake || ($this->excuses)($from, $time, true)) {
                    $excused = true;
                    $this->gap($name, $connection, $place, $from, $time);
                }
                continue;
            }
            $from = $entry->tried;
            $rank = $ranks[$entry->number] ?? null;
            if ($rank === null) {
                continue;
            }
            if ($next === null) {
                // The first event of a reader that asked for none: what was published after it had come must not be before.
                $next = $rank;
                for ($earlier = $rank - 1; $earlier >= 0 && $earlier > $rank - 2_000; $earlier--) {
                    if ($mine[$earlier]->tried > $connection->opened) {
                        $next = $earlier;
                    }
                }
            }
            if ($rank > $next && !$excused) {
                $missing = array_slice($mine, $next, $rank - $next);
                $missing = array_filter($missing, fn (Entry $one): bool => $this->sequence->isBefore($one, $entry));
                if ($forgotten) {
                    $missing = array_filter($missing, static fn (Entry $one): bool => $one->tried > $connection->opened);
                }
                $this->lost($name, $connection, array_values($missing), $time, "before $entry->key");
            }
            $next = $excused && $this->repeats ? $rank + 1 : max($next, $rank + 1);
            $excused = false;
        }
        if ($connection->finished && $next !== null) {
            $this->lost($name, $connection, array_slice($mine, $next), $connection->closed, 'before the end');
        } elseif ($connection->closed > 0 && !str_starts_with($connection->why, 'refused')) {
            $this->late($name, $connection, array_slice($mine, $next ?? 0), $excused);
        }
    }

    /**
     * The rank of the first event that has to come; null: it is not known.
     *
     * @param list<Entry> $mine
     */
    private function first(Connection $connection, array $mine): ?int
    {
        if ($connection->since === '') {
            return null;
        }
        $since = $this->ledger->byId($connection->since);
        if ($since !== null && isset($this->sequence->places[$since->number])) {
            $place = $this->sequence->places[$since->number];

            return $this->search($mine, fn (Entry $entry): bool => $this->sequence->places[$entry->number] > $place);
        }
        $stamp = $since->stamp ?? Entry::stampOf($connection->since);
        if ($stamp === 0) {
            // An id whose place nobody knows.
            return null;
        }
        // The stamp of a hub that had nothing yet, or of an event whose own id readers know. An event without a stamp may have
        // its place before or after it, unless it was published later.
        foreach ($mine as $first => $entry) {
            if ($entry->stamp === 0 ? $entry->tried > ($connection->told ?? 0) : $entry->stamp > $stamp) {
                return $first;
            }
        }

        return count($mine);
    }

    /** @param list<Entry> $mine */
    private function search(array $mine, callable $isBehind): int
    {
        [$low, $high] = [0, count($mine)];
        while ($low < $high) {
            $middle = intdiv($low + $high, 2);
            if ($isBehind($mine[$middle])) {
                $high = $middle;
            } else {
                $low = $middle + 1;
            }
        }

        return $low;
    }

    /** When the id that a connection asked for began to be true. */
    private function askedAt(Connection $connection): int
    {
        return $this->ledger->byId($connection->since)->tried ?? $connection->page ?? $connection->begun;
    }

    private function gap(string $name, Connection $connection, int $place, int $from, int $time): void
    {
        $this->counts->gaps++;
        $unsure = $place === 0 || $connection->gaps[$place] === '';
        if (!($this->excuses)($from, $time, $unsure)) {
            $what = "a gap was told that nothing excuses; asked for was '$connection->since', told " . $connection->gaps[$place];
            $this->violate('gap', $what, $time, $name);
        }
        $told = json_decode($connection->gaps[$place], true);
        if ($place === 0 && is_array($told) && ($told['requested'] ?? $connection->since) !== $connection->since) {
            $this->violate('gap', "asked for was '$connection->since', the gap says '{$told['requested']}'", $time, $name);
        }
    }

    /** @param list<Entry> $missing */
    private function lost(string $name, Connection $connection, array $missing, int $time, string $where): void
    {
        if ($missing === []) {
            return;
        }
        $keys = array_map(
            static fn (Entry $entry): string => "$entry->key ($entry->id, $entry->state)",
            array_slice($missing, 0, 5),
        );
        $this->violate(
            'lost',
            sprintf(
                '%d events are missing %s, and no gap was told: %s; this connection asked for \'%s\'',
                count($missing),
                $where,
                implode(' ', $keys),
                $connection->since,
            ),
            $time,
            $name,
            $missing[0]->key,
        );
    }

    /** @param list<Entry> $rest */
    private function late(string $name, Connection $connection, array $rest, bool $excused): void
    {
        $due = $connection->closed - self::LATE;
        if ($excused || $due < max($connection->opened, $connection->wentOn)) {
            return;
        }
        foreach ($rest as $entry) {
            if ($entry->state === Entry::ACCEPTED && $entry->answered < $due && $entry->tried > $connection->opened) {
                $what = "$entry->key ($entry->id) had not come after so long, although the connection was there";
                $this->violate('late', $what, $entry->answered, $name, $entry->key);

                return;
            }
        }
    }

    /** Accepted events whose place is not known: who got something that is surely newer had to get these as well, or a gap. */
    private function floating(string $name): void
    {
        if ($this->sequence->floating === []) {
            return;
        }
        $spans = $got = [];
        $begin = 0;
        foreach ($this->connections[$name] as $connection) {
            if ($connection->since === '' || $connection->page !== null) {
                $spans[] = [$begin = max($connection->opened, $connection->page ?? 0) ?: PHP_INT_MAX, 0];
            }
            foreach ($connection->items as [$time, $entry]) {
                if ($entry === null) {
                    $spans[] = [$time, 0];
                    continue;
                }
                $got[$entry->key] = true;
                $last = array_key_last($spans);
                if ($last !== null) {
                    $spans[$last][1] = max($spans[$last][1], $entry->tried);
                }
            }
        }
        foreach ($this->sequence->floating as $entry) {
            if (isset($got[$entry->key]) || $entry->state !== Entry::ACCEPTED || !Topics::match($this->patterns[$name], $entry->topics)) {
                continue;
            }
            foreach ($spans as [$begin, $newest]) {
                if ($begin < $entry->tried && $entry->answered < $newest) {
                    $what = "$entry->key ($entry->id, accepted) is missing, and no gap was told";
                    $this->violate('lost', $what, $entry->answered, $name, $entry->key);
                    break;
                }
            }
        }
    }

    private function count(): void
    {
        foreach ($this->ledger->entries as $entry) {
            $this->counts->{$entry->state}++;
        }
        foreach ($this->connections as $connections) {
            foreach ($connections as $place => $connection) {
                $this->counts->connections += $connection->opened > 0 ? 1 : 0;
                $this->counts->refused += $connection->opened === 0 ? 1 : 0;
                $this->counts->resumed += $place > 0 && $connection->opened > 0 && $connection->since !== '' ? 1 : 0;
                $this->counts->delivered += count($connection->items) - count($connection->gaps);
            }
        }
    }
}
