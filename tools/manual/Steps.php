<?php

declare(strict_types=1);

/**
 * Files, folders, functions and types that the numbered lists and the tables of a page name: each must be there.
 *
 * A function or type follows its file: `hub/src/broker/publish.rs` `publish`, `deliver`.
 */
final class Steps
{
    /** A path with a folder in it, and the names that follow it. */
    private const NAMED = '/`((?:[\w.-]+\/)+(?:[\w.-]+\.\w+)?)`(\s+`\w+`(?:(?:,| and| or)\s+`\w+`)*)?/';

    /** @return list<string> */
    public static function missing(string $page, string $text): array
    {
        $problems = [];
        $names = 0;
        foreach (self::items($text) as $item) {
            preg_match_all(self::NAMED, $item, $found, PREG_SET_ORDER);
            foreach ($found as $match) {
                $path = $match[1];
                if (!(str_ends_with($path, '/') ? is_dir($path) : is_file($path))) {
                    $problems[] = "$page: there is no '$path'";
                    continue;
                }
                preg_match_all('/`(\w+)`/', $match[2] ?? '', $following);
                $names += count($following[1]);
                foreach ($following[1] as $name) {
                    if (!self::has($path, $name)) {
                        $problems[] = "$page: '$path' has no '$name'";
                    }
                }
            }
        }
        if ($names === 0) {
            $problems[] = "$page: no numbered list or table names a function and its file";
        }

        return array_values(array_unique($problems));
    }

    /** Entries of numbered lists with the lines that belong to them, and rows of tables. @return list<string> */
    private static function items(string $text): array
    {
        $text = (string) preg_replace('/^```.*?^```$/ms', '', $text);
        preg_match_all('/^(?:\d+\. .*(?:\n[ \t]+\S.*)*|\|.*)$/m', $text, $found);

        return $found[0];
    }

    private static function has(string $file, string $name): bool
    {
        $code = is_file($file) ? (string) file_get_contents($file) : '';
        $keyword = ctype_upper($name[0]) ? 'struct|enum|trait|type|const|static|class' : 'fn|function';

        return preg_match("/^[^\\n\\/*#]*\\b(?:$keyword) $name\\b/m", $code) === 1;
    }
}
