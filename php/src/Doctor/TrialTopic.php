<?php

declare(strict_types=1);

namespace Sse\Doctor;

use Sse\Mercure\Name;

/** The topic that the doctor's own events are published to, where nobody names one. */
final class TrialTopic
{
    private const MERCURE = '/^\$mercure\.(match(?:_\w+)?|allow(?:_\w+)?)\.(.+)$/';

    /**
     * A topic that one of these patterns matches; null: none is known, as of a URL pattern of Mercure's.
     *
     * @param array<string> $patterns
     */
    public static function of(array $patterns): ?string
    {
        foreach ($patterns as $pattern) {
            $topic = self::ofPattern($pattern);
            if ($topic !== null) {
                return $topic;
            }
        }

        return null;
    }

    private static function ofPattern(string $pattern): ?string
    {
        if (preg_match(self::MERCURE, $pattern, $mercure) === 1) {
            return self::ofSelector($mercure[1], rawurldecode($mercure[2]));
        }

        return implode('.', array_map(
            static fn (string $segment): string => $segment === '*' || $segment === '**' ? SiteCheck::TYPE : $segment,
            explode('.', $pattern),
        ));
    }

    private static function ofSelector(string $kind, string $selector): ?string
    {
        $text = match (true) {
            $kind === 'match' && $selector === '*' => SiteCheck::TYPE,
            // A variable with a value, or without one, where more than the value would be expanded.
            $kind === 'match' => preg_replace(['/\{[^\/.;?&#}][^}]*\}/', '/\{[^}]*\}/'], [SiteCheck::TYPE, ''], $selector),
            $kind === 'match_exact' => $selector,
            default => null,
        };

        return $text === null || $text === '' ? null : Name::topic($text);
    }
}
