<?php

declare(strict_types=1);

namespace PhpSse\Tests\Soak;

/** Topics and patterns, as stubs/sse.stub.php describes them. */
final class Topics
{
    /** What is published to. */
    public const ALL = ['alpha', 'alpha.one', 'alpha.two', 'beta.one', 'beta.two.deep', 'gamma', 'quiet'];

    public static function matches(string $pattern, string $topic): bool
    {
        $segments = explode('.', $topic);
        foreach (explode('.', $pattern) as $place => $segment) {
            if (!isset($segments[$place])) {
                return false;
            }
            if ($segment === '**') {
                return true;
            }
            if ($segment !== '*' && $segment !== $segments[$place]) {
                return false;
            }
        }

        return count($segments) === $place + 1;
    }

    /**
     * @param list<string> $patterns
     * @param list<string> $topics
     */
    public static function match(array $patterns, array $topics): bool
    {
        foreach ($patterns as $pattern) {
            foreach ($topics as $topic) {
                if (self::matches($pattern, $topic)) {
                    return true;
                }
            }
        }

        return false;
    }
}
