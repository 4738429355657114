<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** The topics that are the hub's own: URLs whose path is the hub's, or below it, however they are written. */
final class Reserved
{
    /** Of these, the URL standard reads `\` as `/`, and knows no path that does not begin with it. */
    private const SPECIAL = ['http', 'https', 'ws', 'wss', 'ftp', 'file'];

    public static function has(string $topic): bool
    {
        foreach (self::paths($topic) as $path) {
            if ($path === Subscriptions::HUB || str_starts_with($path, Subscriptions::HUB . '/')) {
                return true;
            }
        }

        return false;
    }

    /**
     * The paths that a URL standard's parser finds, with the hub as base. With one slash after a special scheme, or none, there are
     * two: whether that is relative depends on the base's scheme.
     *
     * @return list<string>
     */
    private static function paths(string $topic): array
    {
        $topic = trim($topic);
        $scheme = preg_match('~^([a-z][a-z0-9+.-]*):~i', $topic, $match) === 1 ? strtolower($match[1]) : '';
        $isSpecial = $scheme === '' || in_array($scheme, self::SPECIAL, true);
        $rest = substr($topic, $scheme === '' ? 0 : strlen($scheme) + 1);
        $end = strcspn($rest, '?#');
        $rest = substr($rest, 0, $end);
        if ($isSpecial) {
            $rest = strtr($rest, '\\', '/');
        }
        $authority = match (true) {
            $scheme === '' => '~^//+[^/]*(/.*)?$~Ds',
            $isSpecial => '~^/*+[^/]*(/.*)?$~Ds',
            default => '~^//[^/]*(/.*)?$~Ds',
        };
        $hasAuthority = preg_match($authority, $rest, $match) === 1;
        $found = $hasAuthority ? [$match[1] ?? '/'] : [$rest];
        if ($hasAuthority && !str_starts_with($rest, '//')) {
            $found[] = $rest;
        }

        return array_map(static fn (string $path): string => self::resolve($path, $isSpecial), $found);
    }

    private static function resolve(string $path, bool $isSpecial): string
    {
        if ($path === '') {
            return $isSpecial ? Subscriptions::HUB : '';
        }
        if ($path[0] !== '/') {
            if (!$isSpecial) {
                return $path;
            }
            $path = dirname(Subscriptions::HUB) . "/$path";
        }

        return self::withoutDots(self::plain($path));
    }

    /** With unreserved characters (RFC 3986, 2.3) as such. */
    private static function plain(string $path): string
    {
        return (string) preg_replace_callback('/%([0-9a-f]{2})/i', static function (array $match): string {
            $char = chr((int) hexdec($match[1]));

            return preg_match('/^[A-Za-z0-9._~-]$/D', $char) === 1 ? $char : $match[0];
        }, $path);
    }

    /** RFC 3986, 5.2.4: "Remove Dot Segments". */
    private static function withoutDots(string $path): string
    {
        /** @var list<string> $segments */
        $segments = [];
        foreach (explode('/', substr($path, 1)) as $segment) {
            if ($segment === '..') {
                array_pop($segments);
            } elseif ($segment !== '.') {
                $segments[] = $segment;
            }
        }

        return '/' . implode('/', $segments);
    }
}
