<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** A process's random choices, the same ones again for the same seed. There is one for each process: PHP has one generator. */
final class Chance
{
    public function __construct(public readonly int $seed)
    {
        mt_srand($seed);
    }

    /** Seed of another process of the same run. */
    public static function derived(int $seed, string $name): int
    {
        return crc32("$seed $name");
    }

    public function whole(int $from, int $to): int
    {
        return mt_rand($from, $to);
    }

    public function between(float $from, float $to): float
    {
        return $from + ($to - $from) * mt_rand() / mt_getrandmax();
    }

    /** True so many times in a hundred. */
    public function percent(float $share): bool
    {
        return $this->between(0, 100) < $share;
    }

    /**
     * @template T
     * @param non-empty-list<T> $things
     * @return T
     */
    public function one(array $things): mixed
    {
        return $things[mt_rand(0, count($things) - 1)];
    }

    /**
     * @template T
     * @param list<T> $things
     * @return list<T> so many of them, in another order
     */
    public function some(array $things, int $count): array
    {
        $taken = [];
        while (count($taken) < $count && $things !== []) {
            $taken[] = array_splice($things, mt_rand(0, count($things) - 1), 1)[0];
        }

        return $taken;
    }

    /**
     * @param non-empty-array<string, int> $weights
     * @return string one of the names, the likelier the larger its weight
     */
    public function weighted(array $weights): string
    {
        $place = mt_rand(1, array_sum($weights));
        foreach ($weights as $name => $weight) {
            $place -= $weight;
            if ($place <= 0) {
                break;
            }
        }

        return $name;
    }

    /** Waits a random time. */
    public function pause(float $from, float $to): void
    {
        usleep((int) ($this->between($from, $to) * 1e6));
    }
}
