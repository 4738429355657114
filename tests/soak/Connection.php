<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What a reader's journal says of one connection. */
final class Connection
{
    /** When the stream had begun; 0: it never did. */
    public int $opened = 0;
    public int $closed = 0;
    public string $why = '';
    /** When it read again after it had stopped last. */
    public int $wentOn = 0;
    /** @var list<array{int, ?Entry}> what came, and when; null: a gap */
    public array $items = [];
    /** @var array<int, string> the gaps' data, by their places among the items */
    public array $gaps = [];
    public bool $finished = false;

    /**
     * @param string $since the id that was asked for; empty: none
     * @param ?int $page when the page was asked for that gave this id; null: it came with an event
     * @param ?int $told when that page gave it
     */
    public function __construct(
        public readonly int $begun,
        public readonly string $since,
        public readonly ?int $page,
        public readonly ?int $told,
    ) {
    }
}
