<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

/** One dispatched event, as the HTML standard has it. */
final class Event
{
    public function __construct(
        public readonly string $id,
        public readonly string $name,
        public readonly string $data,
    ) {
    }
}
