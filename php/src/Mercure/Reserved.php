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
        $path = self::path($topic);

        return $path === Subscriptions::HUB || str_starts_with($path, Subscriptions::HUB . '/');
    }

    /** The path that a URL standard's parser finds, with the hub as base. */
    private static function path(string $topic): string
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
        if (preg_match($isSpecial && $scheme !== '' ? '~^/*+[^/]*(/.*)?$~Ds' : '~^//[^/]*(/.*)?$~Ds', $rest, $match) === 1) {
            // With an authority. Without slashes, "https:a" is one of the base's scheme, whose path "a" is relative.
            $isRelative = $scheme !== '' && !str_starts_with($rest, '/');
            $rest = $isRelative ? $rest : $match[1] ?? '/';
        }
        if ($rest === '') {
            return $scheme === '' || $isSpecial ? Subscriptions::HUB : '';
        }
        if ($rest[0] !== '/') {
            if (!$isSpecial) {
                return $rest;
            }
            $rest = dirname(Subscriptions::HUB) . "/$rest";
        }

        return self::withoutDots(self::plain($rest));
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
