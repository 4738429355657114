<?php

declare(strict_types=1);

namespace Sse\Mercure;

/**
 * Topics and topic selectors of Mercure as topics and patterns of the extension.
 *
 * sse_publish() takes the topics, sse_stream() without a callback and SseSubscription take the patterns, so that PHP can
 * watch what Mercure's clients get. No other function takes these names:
 *
 * ```php
 * foreach (new SseSubscription([Name::subscription('https://example.com/books/{id}'), Name::right('*')]) as $event) {
 *     …
 * }
 * ```
 *
 * The extension checks them where they are used: a text has 1 to 1,024 bytes of UTF-8.
 */
final class Name
{
    private const PUBLIC = '$mercure.public.';
    private const PRIVATE = '$mercure.private.';

    /** The topic to publish to of an update with this topic. */
    public static function topic(string $topic, bool $private = false): string
    {
        return ($private ? self::PRIVATE : self::PUBLIC) . self::encode($topic);
    }

    /**
     * The pattern of who subscribes to what this selector matches.
     *
     * @param string      $selector `*`, a topic, or a URI template.
     * @param string|null $type     `exact` or `urlpattern`: it is such a matcher of Mercure 1.0, or `*`.
     */
    public static function subscription(string $selector, ?string $type = null): string
    {
        return '$mercure.match' . self::typed($selector, $type);
    }

    /** The pattern of who may get private updates with a topic that it matches, as above. Subscribes to nothing. */
    public static function right(string $selector, ?string $type = null): string
    {
        return '$mercure.allow' . self::typed($selector, $type);
    }

    /** The topic in a name that an `SseEvent` has; null if it is another topic. */
    public static function text(string $name): ?string
    {
        foreach ([self::PUBLIC, self::PRIVATE] as $kind) {
            if (str_starts_with($name, $kind)) {
                return rawurldecode(substr($name, strlen($kind)));
            }
        }

        return null;
    }

    /** What a topic and a selector of version 0.x would mean as well has one name, by which it is found. */
    private static function typed(string $selector, ?string $type): string
    {
        $isPlain = $selector === '*' || ($type === 'exact' && !str_contains($selector, '{'));

        return ($type === null || $isPlain ? '' : "_$type") . '.' . self::encode($selector);
    }

    private static function encode(string $text): string
    {
        return strtr(rawurlencode($text), ['.' => '%2E']);
    }
}
