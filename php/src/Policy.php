<?php

declare(strict_types=1);

namespace Sse;

use Closure;

/**
 * Who may watch a topic, or publish to it: what is not allowed is refused.
 *
 * ```php
 * Policy::patterns('news', 'chat.*')
 * Policy::roles(['guest' => ['news'], 'member' => ['chat.*', 'users.{user}.**']], $roles, ['user' => $userId])
 * Policy::ask(fn (string $topic): bool => $chat->isMember($userId, $topic))
 * ```
 */
final class Policy
{
    /** @param Closure(string): bool $allows a pattern that is well formed */
    private function __construct(private readonly Closure $allows)
    {
    }

    /** Nobody. */
    public static function none(): self
    {
        return new self(static fn (): bool => false);
    }

    /**
     * These topics, and all that these patterns cover. A pattern is allowed if one of them covers it whole. The hub's own topics
     * have to be named: `$presence.**`, which tells who is there, is not covered by `**`.
     */
    public static function patterns(string ...$patterns): self
    {
        return new self(static function (string $asked) use ($patterns): bool {
            foreach ($patterns as $pattern) {
                if (Topic::covers($pattern, $asked)) {
                    return true;
                }
            }

            return false;
        });
    }

    /**
     * What the roles may that somebody has.
     *
     * @param array<string, list<string>>      $patterns By role. `{name}` stands for one of the values, as a segment.
     * @param iterable<string>                 $roles    Those that the client has.
     * @param array<string, string|int|null>   $values   Null: there is no such value, and no such topic.
     */
    public static function roles(array $patterns, iterable $roles, array $values = []): self
    {
        $allowed = [];
        foreach ($roles as $role) {
            foreach ($patterns[$role] ?? [] as $pattern) {
                $allowed[] = self::fill($pattern, $values);
            }
        }

        return self::patterns(...array_filter($allowed, 'is_string'));
    }

    /**
     * What a callable says. It is asked for single topics only, and patterns are refused, unless `$patterns` says that
     * it knows them: `fn ($topic) => $topic !== 'secret'` would let `**` pass, which watches `secret` as well. The hub's own
     * topics, which begin with `$`, are refused without asking: `->or(Policy::patterns('$presence.chat.*'))` allows some.
     *
     * @param callable(string): bool $allows
     */
    public static function ask(callable $allows, bool $patterns = false): self
    {
        $allows = $allows(...);

        return new self(
            static fn (string $asked): bool => !Topic::isReserved($asked)
                && ($patterns || Topic::isTopic($asked))
                && $allows($asked) === true,
        );
    }

    /** What this or the other allows. */
    public function or(self $other): self
    {
        return new self(fn (string $asked): bool => $this->allows($asked) || $other->allows($asked));
    }

    /** Whether a topic or pattern is allowed. */
    public function allows(string $pattern): bool
    {
        return Topic::isPattern($pattern) && ($this->allows)($pattern);
    }

    /** @param array<string, string|int|null> $values */
    private static function fill(string $pattern, array $values): ?string
    {
        preg_match_all('/\{(\w+)\}/', $pattern, $found);
        $segments = [];
        foreach ($found[1] as $name) {
            $value = $values[$name] ?? null;
            if ($value === null) {
                return null;
            }
            $segments["{{$name}}"] = Topic::segment((string) $value);
        }

        return strtr($pattern, $segments);
    }
}
