<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** What is known of one event: from who published it, from its readers, and from the history's own file. */
final class Entry
{
    public const TRIED = 'tried';
    /** An id was returned. */
    public const ACCEPTED = 'accepted';
    /** It may have arrived, or not. */
    public const THREW = 'threw';
    /** The same, as no answer was asked for. */
    public const SENT = 'sent';
    /** Its request failed before it was sent. */
    public const DROPPED = 'dropped';

    public string $state = self::TRIED;
    /** When it was answered; 0: it was not. */
    public int $answered = 0;
    /** Whether a reader got it, or the file has it. */
    public bool $exists = false;
    /** Whether a reader of everything got it: its place among all others is known then. */
    public bool $placed = false;
    /** When a reader had it, or its publisher was told so, whichever came first: what is published later is behind it. */
    public int $known = PHP_INT_MAX;
    /** Its place in the hub's own order as a number; 0: not known. */
    public int $stamp = 0;

    /** @param list<string> $topics */
    public function __construct(
        public readonly int $number,
        public readonly string $key,
        public readonly string $publisher,
        public readonly int $tried,
        public readonly array $topics,
        public readonly string $hash,
        public ?string $id,
    ) {
    }

    /** An id of the hub's own shape as a number that orders it; 0 for any other. */
    public static function stampOf(string $id): int
    {
        return preg_match('/^(\d{1,13})-(\d{1,6})$/D', $id, $found) === 1 ? ((int) $found[1] << 21) + (int) $found[2] : 0;
    }
}
