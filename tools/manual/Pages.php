<?php

declare(strict_types=1);

/** The pages (*.md) of this project. */
final class Pages
{
    /** @return array<string, string> texts by name: all that git has, or would have */
    public static function all(): array
    {
        exec("git ls-files --cached --others --exclude-standard -- '*.md' 2>/dev/null", $names, $code);
        if ($code !== 0 || $names === []) {
            // Not a clone: a tarball, say.
            $names = [...glob('*.md') ?: [], ...glob('{docs,examples,php,js,bench}/{*,*/*}.md', GLOB_BRACE) ?: []];
        }
        $pages = [];
        foreach (array_filter($names, 'is_file') as $name) {
            $pages[$name] = (string) file_get_contents($name);
        }

        return $pages;
    }
}
