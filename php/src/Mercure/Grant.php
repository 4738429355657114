<?php

declare(strict_types=1);

namespace Sse\Mercure;

use SseInvalidArgument;

/** A detail of an access token (RFC 9396): actions, the topics that they are allowed for, and what is shown of subscriptions. */
final class Grant
{
    /**
     * @param list<string>  $actions  Some of them may be unknown, and allow nothing.
     * @param list<Matcher> $matchers
     */
    private function __construct(
        public readonly array $actions,
        public readonly array $matchers,
        public readonly mixed $payload,
    ) {
    }

    /**
     * Null if a part of it is not valid.
     *
     * @param array<array-key, mixed> $detail
     * @param mixed                   $payload Its payload, with objects as such.
     */
    public static function of(array $detail, mixed $payload): ?self
    {
        [$actions, $topics] = [$detail['actions'] ?? null, $detail['topics'] ?? null];
        if (!is_array($actions) || !is_array($topics) || !self::isFilled($actions) || !self::isFilled($topics)) {
            return null;
        }
        if (!($payload === null || is_object($payload)) || array_filter($actions, 'is_string') !== $actions) {
            return null;
        }
        $matchers = [];
        foreach ($topics as $topic) {
            $matcher = self::matcher($topic);
            if ($matcher === null) {
                return null;
            }
            $matchers[] = $matcher;
        }

        return new self(array_values($actions), $matchers, $payload);
    }

    /** @param array<array-key, mixed> $value */
    private static function isFilled(array $value): bool
    {
        return $value !== [] && array_is_list($value);
    }

    private static function matcher(mixed $topic): ?Matcher
    {
        if (!is_array($topic)) {
            return null;
        }
        [$text, $type] = [$topic['match'] ?? null, array_key_exists('match_type', $topic) ? $topic['match_type'] : 'exact'];
        if (!is_string($text) || !in_array($type, Matcher::TYPES, true) || !Standard::isVisible($text)) {
            return null;
        }
        $matcher = Matcher::of($type, $text);
        try {
            $matcher->matches('a');
        } catch (SseInvalidArgument) {
            return null;
        }

        return $matcher;
    }
}
