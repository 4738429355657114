<?php

declare(strict_types=1);

/** Links of the pages (*.md) of this project to its own files and to their headings. Other sites are not asked. */
final class Links
{
    /**
     * @param array<string, string> $pages texts by name
     * @return list<string>
     */
    public static function broken(array $pages): array
    {
        $problems = [];
        foreach ($pages as $page => $text) {
            foreach (self::links($text) as [$line, $link]) {
                $problem = self::problem($page, $text, $link);
                if ($problem !== null) {
                    $problems[] = "$page:$line: ($link) $problem";
                }
            }
        }

        return $problems;
    }

    /** @return list<array{int, string}> */
    private static function links(string $text): array
    {
        $links = [];
        foreach (explode("\n", self::withoutCode($text)) as $number => $line) {
            preg_match_all('/\]\(([^()\s]+(?:\([^()]*\))?)\)|(?:src|href)="([^"]+)"/', $line, $found, PREG_SET_ORDER);
            foreach ($found as $match) {
                $links[] = [$number + 1, $match[1] !== '' ? $match[1] : $match[2]];
            }
        }

        return $links;
    }

    private static function problem(string $page, string $text, string $link): ?string
    {
        if (preg_match('/^[a-z][a-z0-9+.-]*:/i', $link)) {
            return null;
        }
        [$path, $anchor] = explode('#', $link, 2) + [1 => ''];
        $file = $path === '' ? $page : dirname($page) . '/' . rawurldecode($path);
        if (!file_exists($file)) {
            return 'there is no such file';
        }
        if ($anchor === '' || !str_ends_with($file, '.md')) {
            return null;
        }
        $anchors = self::anchors($path === '' ? $text : (string) file_get_contents($file));

        return in_array($anchor, $anchors, true) ? null : 'there is no such heading';
    }

    /** The anchors that GitHub, GitLab and others make of headings. @return list<string> */
    private static function anchors(string $text): array
    {
        preg_match_all('/^#{1,6} +(.+?)\s*#*$/m', self::withoutCode($text), $found);
        $anchors = $times = [];
        foreach ($found[1] as $heading) {
            $plain = preg_replace(['/\[([^\]]*)\]\([^)]*\)/', '/[`*]/'], ['$1', ''], $heading);
            $anchor = str_replace(' ', '-', preg_replace('/[^\p{L}\p{N}_\- ]/u', '', mb_strtolower($plain)));
            $times[$anchor] = ($times[$anchor] ?? -1) + 1;
            $anchors[] = $times[$anchor] === 0 ? $anchor : "$anchor-$times[$anchor]";
        }

        return $anchors;
    }

    /** Blocks and spans of code have no links and no headings; line numbers stay. */
    private static function withoutCode(string $text): string
    {
        $blank = static fn (array $match): string => str_repeat("\n", substr_count($match[0], "\n"));
        $text = (string) preg_replace_callback('/^ *(```|~~~).*?^ *\1 *$/ms', $blank, $text);

        return (string) preg_replace('/(?<=\()`[^`\n]*`|^\s*`[^`\n]*`\s*$/m', '', $text);
    }
}
