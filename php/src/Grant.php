<?php

declare(strict_types=1);

namespace Sse;

use InvalidArgumentException;
use JsonException;
use SensitiveParameter;

/**
 * A signed permission to watch some topics for some time, for pages whose own server is not the one that streams.
 *
 * The page's server signs it, and the streaming server verifies it, with one key and without talking to each other.
 * Whoever has it may use it until it expires, so it is a secret of the page: short-lived, and not for a URL.
 *
 * ```php
 * $token = Grant::sign(['orders.42.**'], 300, $key);            // when the page is rendered
 * $grant = Grant::verify($token, $key);                         // where it streams; null: not valid
 * ```
 */
final class Grant
{
    private const VERSION = 1;
    private const LONGEST = 4000;
    private const SHORTEST_KEY = 32;

    /**
     * @param list<string> $topics
     * @param int          $expires Unix time.
     */
    private function __construct(
        public readonly array $topics,
        public readonly int $expires,
        public readonly ?string $user,
    ) {
    }

    /**
     * @param list<string> $topics  Topics or patterns.
     * @param int          $seconds How long it is good for: at least 1. Minutes rather than hours.
     * @param string       $key     At least 32 bytes, random: `bin2hex(random_bytes(32))`.
     * @param string|null  $user    Only for this user; who verifies it has to know who asks.
     *
     * @return string ASCII letters, digits, `-`, `_` and one dot.
     *
     * @throws InvalidArgumentException No topics, one that is none, a time or a key that is too short, or the whole
     * too long.
     */
    public static function sign(
        array $topics,
        int $seconds,
        #[SensitiveParameter] string $key,
        ?string $user = null,
    ): string {
        foreach ($topics as $topic) {
            // @mago-expect analysis:redundant-type-comparison(3),redundant-logical-operation - callers may not keep to types.
            if (!is_string($topic) || !Topic::isPattern($topic)) {
                throw new InvalidArgumentException('a grant is for topics: ' . var_export($topic, true) . ' is none');
            }
        }
        if ($topics === [] || $seconds < 1) {
            throw new InvalidArgumentException(
                "a grant needs a topic and a time: $seconds s is none, or no topic is given",
            );
        }
        $payload = Base64::encode(json_encode(
            ['v' => self::VERSION, 't' => array_values($topics), 'e' => time() + $seconds, 'u' => $user],
            JSON_THROW_ON_ERROR,
        ));
        $token = $payload . '.' . Base64::encode(self::signature($payload, $key));
        if (strlen($token) > self::LONGEST) {
            throw new InvalidArgumentException(sprintf(
                'the grant is %d bytes long, at most %d fit into a cookie; use patterns',
                strlen($token),
                self::LONGEST,
            ));
        }

        return $token;
    }

    /**
     * @param string|null $user Who asks. A grant for a user is for nobody else, and not for an unknown.
     *
     * @return self|null Null if it was not signed with this key, has expired, or is another user's.
     *
     * @throws InvalidArgumentException The key is too short.
     */
    public static function verify(
        #[SensitiveParameter] string $token,
        #[SensitiveParameter] string $key,
        ?string $user = null,
    ): ?self {
        $parts = explode('.', $token);
        if (strlen($token) > self::LONGEST || count($parts) !== 2) {
            // The key is looked at all the same: a bad one should not show first with a good grant.
            self::signature('', $key);

            return null;
        }
        [$payload, $signature] = $parts;
        // Compared as text: base64 has several forms of the same bytes.
        if (!hash_equals(Base64::encode(self::signature($payload, $key)), $signature)) {
            return null;
        }
        try {
            // It was signed with the key, so sign() has made it.
            /** @var array{v: int, t: list<string>, e: int, u: string|null}|null $content */
            $content = json_decode((string) Base64::decode($payload), true, 8, JSON_THROW_ON_ERROR);
        } catch (JsonException) {
            return null;
        }
        if ($content === null || $content['v'] !== self::VERSION || $content['e'] <= time()) {
            return null;
        }
        $for = $content['u'];

        return $for === null || ($user !== null && hash_equals($for, $user))
            ? new self($content['t'], $content['e'], $for)
            : null;
    }

    /** What it allows, for {@see Endpoint\Site} and the like. */
    public function policy(): Policy
    {
        return Policy::patterns(...$this->topics);
    }

    private static function signature(string $payload, #[SensitiveParameter] string $key): string
    {
        if (strlen($key) < self::SHORTEST_KEY) {
            throw new InvalidArgumentException(sprintf(
                'the key of grants has %d bytes; it needs %d, such as bin2hex(random_bytes(32)) gives',
                strlen($key),
                self::SHORTEST_KEY,
            ));
        }

        // A purpose of its own: what the key signs elsewhere is no grant.
        return hash_hmac('sha256', "php-sse grant\n$payload", $key, true);
    }
}
