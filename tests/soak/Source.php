<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** Where a reader reads: one connection at a time. */
interface Source
{
    /**
     * Connects and waits until the stream has begun.
     *
     * @param null|string $since the last event that the reader has
     * @return null|string null when it is open, else why it is not
     */
    public function open(?string $since): ?string;

    /**
     * Reads what is there, waiting a moment where nothing is.
     *
     * @return list<Delivered>
     */
    public function read(float $seconds): array;

    /** Why the other end has ended the connection; null: it has not. */
    public function ended(): ?string;

    /** Leaves. */
    public function close(): void;
}
