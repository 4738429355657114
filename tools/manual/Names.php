<?php

declare(strict_types=1);

/** Names of settings, functions and metrics in the pages: each must be one that there is. */
final class Names
{
    /** What looks like a setting and is a file, or stands for one: `sse.so`. */
    private const FILES = ['so', 'ini', 'db', 'js', 'conf', 'stub', 'name', 'NAMESPACE'];

    /**
     * @param array<string, string> $pages texts by name
     * @param list<string> $settings
     * @param list<string> $metrics
     * @return list<string>
     */
    public static function unknown(array $pages, array $settings, array $metrics, string $stubs): array
    {
        preg_match_all('/^ *function (sse_\w+)/m', $stubs, $functions);
        $known = [...$settings, ...$metrics, ...$functions[1]];
        $files = implode('|', self::FILES);
        $problems = [];
        foreach ($pages as $page => $text) {
            // Of Laravel's config/sse.php.
            $text = str_replace("config('sse.prefix')", '', $text);
            preg_match_all("/(?<![\\w.\\/-])sse(?:\\.(?!(?:$files)\\b)[a-z]\\w*|_[a-z]\\w*)\\b/", $text, $found);
            foreach (array_diff(array_unique($found[0]), $known) as $name) {
                $problems[] = "$page: there is no setting, function or metric '$name'";
            }
        }

        return $problems;
    }
}
