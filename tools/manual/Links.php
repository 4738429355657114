<?php

declare(strict_types=1);

/** Links of the pages (*.md) of this project to its own files and to their headings. Other sites are not asked. */
final class Links
{
    /** @return list<string> */
    public static function broken(): array
    {
        $problems = [];
        foreach (self::pages() as $page) {
            foreach (self::links((string) file_get_contents($page)) as [$line, $link]) {
                $problem = self::problem($page, $link);
                if ($problem !== null) {
                    $problems[] = "$page:$line: ($link) $problem";
                }
            }
        }

        return $problems;
    }

    /** @return list<string> all that git has or would have */
    private static function pages(): array
    {
        exec("git ls-files --cached --others --exclude-standard -- '*.md'", $pages, $code);
        if ($code !== 0 || $pages === []) {
            // Not a clone: a tarball, say.
            $pages = [...glob('*.md') ?: [], ...glob('{docs,examples,php,js,bench}/{*,*/*}.md', GLOB_BRACE) ?: []];
        }

        return array_values(array_filter($pages, 'is_file'));
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

    private static function problem(string $page, string $link): ?string
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

        return in_array($anchor, self::anchors((string) file_get_contents($file)), true) ? null : 'there is no such heading';
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
