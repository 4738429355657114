<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseException;

/** A comment that fills up what is written, where the web server passes output on only once it has enough of it: `sse.pad`. */
final class Padding
{
    private const LEAST = 64;
    private const MOST = 32_768;

    /**
     * Bytes that the web server collects; 0: it passes all on at once, as far as is known.
     *
     * @throws SseException The setting is neither auto nor off, nor a number in its range.
     */
    public static function threshold(Settings $settings): int
    {
        if ($settings->isOff('pad')) {
            return 0;
        }
        $rule = strtolower($settings->text('pad'));
        if (preg_match('/^(\d{1,6})(K?)$/Di', $rule, $parts) === 1) {
            $bytes = (int) $parts[1] * ($parts[2] === '' ? 1 : 1024);
            if ($bytes >= self::LEAST && $bytes <= self::MOST) {
                return $bytes;
            }
        }

        return match ($rule) {
            'auto' => PHP_SAPI === 'fpm-fcgi' ? self::ofServer($_SERVER) : 0,
            default => throw new SseException(
                "sse.pad: '$rule' is neither auto, off nor " . self::LEAST . ' to ' . self::MOST . ' bytes',
            ),
        };
    }

    public static function fill(string $bytes, int $threshold): string
    {
        $written = strlen($bytes);
        if ($threshold === 0 || $written === 0) {
            return $bytes;
        }
        $missing = $written < $threshold ? max($threshold - $written, self::LEAST) : $threshold;

        return $bytes . str_repeat(':', $missing - 1) . "\n";
    }

    /** @param array<array-key, mixed> $server */
    private static function ofServer(array $server): int
    {
        $is = static fn (string $name, string $value): bool
            => is_string($server[$name] ?? null) && str_starts_with($server[$name], $value);

        return match (true) {
            !$is('SERVER_SOFTWARE', 'Apache') || $is('SERVER_PROTOCOL', 'HTTP/2') => 0,
            $is('REQUEST_SCHEME', 'https') || $is('HTTPS', 'on') => 8192,
            default => 4096,
        };
    }
}
