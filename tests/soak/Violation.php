<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** A promise that was not kept. */
final class Violation
{
    /**
     * @param string $kind lost, doubled, reordered, foreign, changed, gap, …: see Verifier
     * @param int $time when it was seen, by the journals' clock
     * @param string $who whose journal shows it
     * @param string $key the event that it is about, if it is about one
     */
    public function __construct(
        public readonly string $kind,
        public readonly string $what,
        public readonly int $time,
        public readonly string $who,
        public readonly string $key = '',
    ) {
    }
}
