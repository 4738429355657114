<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

use SplMinHeap;

/** The one order that agrees with everything seen. */
final class Order
{
    /** @var array<int, int> place of each thing in the order */
    public array $places = [];
    /** @var list<int> things whose orders contradict each other, and those behind them */
    public array $contradicting = [];

    /**
     * @param array<int, int> $stamps of each thing; 0: it has none, and comes as early as it can
     * @param iterable<list<int>> $chains things that were seen one after the other
     */
    public function __construct(array $stamps, iterable $chains)
    {
        $after = [];
        $before = array_fill_keys(array_keys($stamps), 0);
        foreach ($chains as $chain) {
            $last = null;
            foreach ($chain as $thing) {
                if ($last !== null && $last !== $thing) {
                    $after[$last][] = $thing;
                    $before[$thing]++;
                }
                $last = $thing;
            }
        }
        $free = new SplMinHeap();
        foreach ($before as $thing => $count) {
            if ($count === 0) {
                $free->insert([$stamps[$thing], $thing]);
            }
        }
        while (!$free->isEmpty()) {
            $thing = $free->extract()[1];
            $this->places[$thing] = count($this->places);
            foreach ($after[$thing] ?? [] as $next) {
                if (--$before[$next] === 0) {
                    $free->insert([$stamps[$next], $next]);
                }
            }
            unset($after[$thing], $before[$thing]);
        }
        $this->contradicting = array_keys($before);
    }
}
