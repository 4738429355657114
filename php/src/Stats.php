<?php

declare(strict_types=1);

namespace Sse;

use SseException;
use SseUnavailable;

/**
 * The hub's figures, as sse_stats() has them, each by the names that lead to it: `streams.open`.
 *
 * @internal
 */
final class Stats
{
    /** @param array<array-key, mixed> $figures */
    public function __construct(public readonly array $figures)
    {
    }

    /**
     * Those of the hub that runs.
     *
     * @param bool $start Whether to start one where none runs.
     *
     * @throws SseUnavailable None runs, or it does not answer.
     * @throws SseException   It is another user's.
     */
    public static function ofHub(bool $start = false): self
    {
        return new self(\sse_stats($start));
    }

    /** What is there: a figure, or an array with all below; null: nothing. */
    public function at(string $path): mixed
    {
        $value = $this->figures;
        foreach (explode('.', $path) as $name) {
            $value = is_array($value) ? $value[$name] ?? null : null;
        }

        return $value;
    }

    public function number(string $path): ?int
    {
        $value = $this->at($path);

        return is_int($value) ? $value : null;
    }

    public function text(string $path): ?string
    {
        $value = $this->at($path);

        return is_string($value) ? $value : null;
    }

    /** @return array<string, string|int|bool|null> what the hub uses, by the settings' names without `sse.` */
    public function settings(): array
    {
        /** @var array<string, string|int|bool|null> $settings */
        $settings = is_array($this->figures['settings'] ?? null) ? $this->figures['settings'] : [];

        return $settings;
    }
}
