<?php

declare(strict_types=1);

namespace Sse\Doctor;

use JsonSerializable;

/** One thing that {@see \Sse\Doctor} has found, and what to do about it. */
final class Finding implements JsonSerializable
{
    /** As it should be; worth knowing; works, but badly; nothing arrives, or will not. */
    public const OK = 'ok';
    public const NOTE = 'note';
    public const WARNING = 'warning';
    public const ERROR = 'error';

    /**
     * @param string $id      What it is called, for programs: `no-hub`, `buffered` and so on.
     * @param string $level   {@see OK}, {@see NOTE}, {@see WARNING} or {@see ERROR}.
     * @param string $message What was found.
     * @param string $cure    What to do, in a line; empty: nothing.
     */
    public function __construct(
        public readonly string $id,
        public readonly string $level,
        public readonly string $message,
        public readonly string $cure = '',
    ) {
    }

    /** Whether something is to be done. */
    public function isProblem(): bool
    {
        return $this->level === self::WARNING || $this->level === self::ERROR;
    }

    /** @return array{id: string, level: string, message: string, cure: string} */
    public function jsonSerialize(): array
    {
        return ['id' => $this->id, 'level' => $this->level, 'message' => $this->message, 'cure' => $this->cure];
    }
}
