<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What a reader was sent: an event, or that some are missing. */
final class Delivered
{
    public function __construct(
        public readonly string $id,
        public readonly string $name,
        public readonly string $data,
        public readonly bool $isGap = false,
    ) {
    }
}
