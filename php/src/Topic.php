<?php

declare(strict_types=1);

namespace Sse;

use InvalidArgumentException;

/**
 * Topics made of values that may be anything, and patterns compared with each other.
 *
 * A segment of a topic has no dot, no `*` and no white space, so a value is percent-encoded: all but ASCII letters,
 * digits, `-` and `_`, as rawurlencode() does, and `.` and `~` too. The empty value is `~`, and one that would be longer
 * than 110 bytes is `~` and its SHA-256. No two values have the same segment.
 *
 * ```php
 * Topic::of('users', 'a.b@example.com')     // users.a%2Eb%40example%2Ecom
 * ```
 *
 * In JavaScript: `encodeURIComponent(value).replace(/[!'()*.~]/g, c => '%' +
 * c.charCodeAt(0).toString(16).toUpperCase())`.
 */
final class Topic
{
    private const LONGEST_SEGMENT = 110;

    /** A topic of a name, which may have dots of its own, and values, each of which becomes one segment. */
    public static function of(string $name, string|int ...$values): string
    {
        foreach ($values as $value) {
            $name .= '.' . self::segment((string) $value);
        }

        return $name;
    }

    /** One segment of a topic, for any value. */
    public static function segment(string $value): string
    {
        if ($value === '') {
            return '~';
        }
        $segment = strtr(rawurlencode($value), ['.' => '%2E', '~' => '%7E']);

        return strlen($segment) <= self::LONGEST_SEGMENT ? $segment : '~' . hash('sha256', $value);
    }

    /** The value of a segment; null if it was too long to be kept in it, or is no segment of {@see segment()}. */
    public static function value(string $segment): ?string
    {
        $value = $segment === '~' ? '' : rawurldecode($segment);

        return self::segment($value) === $segment ? $value : null;
    }

    /** Whether it can be watched: the extension's own rules, which it tells by an exception. */
    public static function isPattern(string $pattern): bool
    {
        return Rules::problem($pattern) === null;
    }

    /** Whether it can be published to. */
    public static function isTopic(string $topic): bool
    {
        return !str_contains($topic, '*') && self::isPattern($topic);
    }

    /** Whether a topic or pattern is about the hub's own topics: who is on a topic, and Mercure's updates. */
    public static function isReserved(string $pattern): bool
    {
        return str_starts_with($pattern, '$');
    }

    /**
     * Whether every topic that `$asked` watches is watched by `$allowed` as well.
     *
     * `a.*` covers `a.b` and `a.*`, but not `a.**`; `a.**` covers all three. As in the hub, a pattern that begins with a wildcard
     * covers nothing that begins with `$`.
     *
     * @throws InvalidArgumentException One of them is no pattern.
     */
    public static function covers(string $allowed, string $asked): bool
    {
        foreach ([$allowed, $asked] as $pattern) {
            if (!self::isPattern($pattern)) {
                throw new InvalidArgumentException("'$pattern' is not a topic or a pattern of topics");
            }
        }

        return Rules::matches($allowed, $asked);
    }
}
