<?php

declare(strict_types=1);

namespace Sse\Laravel;

use InvalidArgumentException;
use Sse\Rules;
use Sse\Topic;

/**
 * The topics of Laravel's channels. A channel's name may be any text; no two channels have a topic in common, whatever a
 * client asks for.
 *
 * ```php
 * $topics = new ChannelTopics('shop');
 * $topics->topic('private-orders.42');     // shop.private-orders.42.event
 * $topics->pattern('private-orders.42');   // shop.private-orders.42.*
 * $topics->topic('presence-room.7');       // shop.presence-room.7, and so is its pattern
 * ```
 *
 * The name is percent-encoded, as rawurlencode() does, but for single dots between other characters: it has no wildcard,
 * and no segment is empty. The members of a presence channel are those of its topic. The other channels of a stream have
 * to have none, so they are watched by a pattern, which never has members.
 */
final class ChannelTopics
{
    /** Bytes of a topic that may have members. */
    private const LONGEST = 245;

    /**
     * @param string $prefix One segment, which no other application has that publishes to the same hub.
     *
     * @throws InvalidArgumentException It is not 1 to 64 ASCII letters, digits, `-` or `_`.
     */
    public function __construct(public readonly string $prefix)
    {
        if (preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $prefix) !== 1) {
            throw new InvalidArgumentException(
                "sse.prefix: '$prefix' is not 1 to 64 ASCII letters, digits, '-' or '_'; set SSE_PREFIX",
            );
        }
    }

    public static function isPresence(string $channel): bool
    {
        return str_starts_with($channel, 'presence-');
    }

    /** Whether its name is one that has a topic. */
    public function has(string $channel): bool
    {
        return $this->base($channel) !== null;
    }

    /**
     * What is published to.
     *
     * @throws InvalidArgumentException The name is empty, too long, or not UTF-8.
     */
    public function topic(string $channel): string
    {
        return $this->named($channel) . (self::isPresence($channel) ? '' : '.event');
    }

    /**
     * What a stream watches.
     *
     * @throws InvalidArgumentException The name is empty, too long, or not UTF-8.
     */
    public function pattern(string $channel): string
    {
        return $this->named($channel) . (self::isPresence($channel) ? '' : '.*');
    }

    /** The channel of which this is the pattern; null if it is none's. */
    public function channel(string $pattern): ?string
    {
        $base = str_ends_with($pattern, '.*') ? substr($pattern, 0, -2) : $pattern;
        if (!str_starts_with($base, "$this->prefix.")) {
            return null;
        }
        $channel = rawurldecode(substr($base, strlen($this->prefix) + 1));

        return $this->has($channel) && $this->pattern($channel) === $pattern ? $channel : null;
    }

    /** The pattern that a stream watches instead of a channel that was refused. No channel's topics match it, whatever its name. */
    public function refused(string $channel): string
    {
        return $this->ofRefused() . substr(hash('sha256', $channel), 0, 32) . '.*';
    }

    /** Whether a pattern is {@see refused()}'s. */
    public function isRefused(string $pattern): bool
    {
        return str_starts_with($pattern, $this->ofRefused());
    }

    /** An encoded name never has a segment that is a mere `%`. */
    private function ofRefused(): string
    {
        return "$this->prefix.%.";
    }

    private function named(string $channel): string
    {
        return $this->base($channel) ?? throw new InvalidArgumentException(sprintf(
            "channel '%s' has no topic: its name must be UTF-8, not empty, and at most %d bytes long when it is encoded",
            substr(Topic::segment($channel), 0, 100),
            self::LONGEST - strlen($this->prefix) - 1,
        ));
    }

    private function base(string $channel): ?string
    {
        if ($channel === '' || strlen($channel) > self::LONGEST || preg_match('//u', $channel) !== 1) {
            return null;
        }
        $name = preg_replace('/(?<=^|\.)\.|\.$/D', '%2E', rawurlencode($channel));
        $base = "$this->prefix.$name";
        $segments = substr_count($base, '.') + (self::isPresence($channel) ? 1 : 2);

        return strlen($base) <= self::LONGEST && $segments <= Rules::MOST_WILD_SEGMENTS ? $base : null;
    }
}
