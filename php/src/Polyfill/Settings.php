<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseException;

/**
 * The polyfill's settings: those of the extension that mean something to it, by the same names in php.ini, and some of
 * its own. `Sse\Polyfill::configure()` sets them where php.ini can't be changed.
 */
final class Settings
{
    /** Name => default, smallest, largest. */
    private const NUMBERS = [
        'heartbeat' => [5, 1, 15],
        'retry' => [2000, 0, 86_400_000],
        'retry_jitter' => [50, 0, 100],
        'timeout' => [2000, 1, 60_000],
        'max_topics' => [100, 1, 10_000],
        'max_event_size' => [1 << 20, 1, 16 << 20],
        'commit_bytes' => [8 << 20, 0, 1 << 30],
        'history_events' => [10_000, 1, 1_000_000],
        'history_ttl' => [3600, 1, 31_536_000],
        'history_bytes' => [16 << 20, 1 << 16, 1 << 30],
        'key_ttl' => [300, 1, 86_400],
        'finished_ttl' => [3600, 1, 31_536_000],
        'finished_bytes' => [2 << 20, 0, 1 << 30],
        'retain_bytes' => [4 << 20, 0, 1 << 30],
        // Its own. Streams that may each hold a worker, of all clients and of one address: further ones end at once, and
        // their clients come back for what is new. The first without a setting: {@see Workers}.
        'polyfill_streams' => [2, 0, 1000],
        'polyfill_streams_per_ip' => [4, 0, 1000],
        // Seconds after which a stream ends and its client comes back, milliseconds between two looks into the file, and
        // the largest size of the file.
        'polyfill_lifetime' => [120, 1, 3600],
        'polyfill_poll' => [100, 10, 10_000],
        'polyfill_bytes' => [128 << 20, 32 << 20, 1 << 40],
    ];
    /** What the file has room for at most, as a part of `polyfill_bytes`, so that it is never full of what is kept. */
    private const PARTS = ['history_bytes' => 4, 'retain_bytes' => 8, 'finished_bytes' => 8, 'max_event_size' => 8];
    private const TEXTS = ['publish' => 'ack', 'pad' => 'auto', 'polyfill_folder' => ''];
    private const UNITS = ['' => 1, 'K' => 1 << 10, 'M' => 1 << 20, 'G' => 1 << 30];

    /** @param array<string, string|int> $own */
    public function __construct(private readonly array $own = [])
    {
        foreach (array_keys($own) as $name) {
            if (!isset(self::NUMBERS[$name]) && !isset(self::TEXTS[$name])) {
                $known = implode(', ', [...array_keys(self::NUMBERS), ...array_keys(self::TEXTS)]);
                throw new SseException("the polyfill has no setting '$name'; it has $known");
            }
        }
    }

    /** @throws SseException It is no number within its range. */
    public function number(string $name): int
    {
        [$default, $least, $most] = self::NUMBERS[$name] ?? throw new SseException("there is no number sse.$name");
        if (isset(self::PARTS[$name])) {
            $most = min($most, intdiv($this->number('polyfill_bytes'), self::PARTS[$name]));
        }
        $value = $this->given($name);
        if ($value === '') {
            return $default;
        }
        if (preg_match('/^(\d{1,15})([KMG]?)$/Di', $value, $parts) !== 1) {
            throw new SseException("sse.$name: '$value' is no number");
        }
        $number = (int) $parts[1] * self::UNITS[strtoupper($parts[2])];

        // The extension allows more of some; here that costs a worker, or has no end.
        return max($least, min($most, $number));
    }

    /** Whether somebody has set it. */
    public function isGiven(string $name): bool
    {
        return $this->given($name) !== '';
    }

    public function text(string $name): string
    {
        $value = $this->given($name);

        return $value === '' ? self::TEXTS[$name] ?? '' : $value;
    }

    /** Whether somebody has set it to nothing, which is what `off` is in an ini file. */
    public function isOff(string $name): bool
    {
        $value = $this->own[$name] ?? get_cfg_var("sse.$name");

        return is_string($value) && in_array(strtolower(trim($value)), ['', 'off'], true);
    }

    private function given(string $name): string
    {
        // What no extension has registered is known by this function only.
        $value = $this->own[$name] ?? get_cfg_var("sse.$name");

        return is_scalar($value) && $value !== false ? trim((string) $value) : '';
    }
}
