<?php

declare(strict_types=1);

/** Tests that a page names: each must be one that there is. */
final class Tests
{
    /**
     * @return list<string>
     */
    public static function missing(string $page, string $text): array
    {
        preg_match_all('/`([^`\s]+)`/', $text, $found);
        $problems = [];
        foreach (array_unique($found[1]) as $name) {
            if (self::isMissing($name)) {
                $problems[] = "$page: there is no test '$name'";
            }
        }

        return $problems;
    }

    /** A name is that of a method of PHPUnit's, of a file of PHP's own tests, or of a function in Rust with four words. */
    private static function isMissing(string $name): bool
    {
        if (preg_match('/^(\w+Test)::(test\w+)$/', $name, $match)) {
            $files = glob("tests/servers/*/$match[1].php") ?: [];

            return $files === [] || !str_contains((string) file_get_contents($files[0]), "function $match[2](");
        }
        if (preg_match('/^\w+\.phpt$/', $name)) {
            return !is_file("tests/phpt/$name");
        }
        if (preg_match('/^[a-z0-9]+(_[a-z0-9]+){3,}$/', $name)) {
            return !preg_match("/#\\[test\\](?:\\s*#\\[[^\\n]*\\])*\\s*fn $name\\(/", self::rust());
        }

        return false;
    }

    private static function rust(): string
    {
        static $sources = null;
        if ($sources === null) {
            $sources = '';
            foreach (['hub/src', 'hub/tests', 'protocol/src'] as $folder) {
                $files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS));
                foreach ($files as $file) {
                    $sources .= str_ends_with((string) $file, '.rs') ? file_get_contents((string) $file) : '';
                }
            }
        }

        return $sources;
    }
}
