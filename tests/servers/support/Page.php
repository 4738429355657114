<?php

declare(strict_types=1);

namespace PhpSse\Tests\Support;

use RuntimeException;

/** Code as the manual has it, so that tests run what readers copy. */
final class Page
{
    /**
     * The blocks of code of a chapter, by language.
     *
     * @return array<string, list<string>>
     */
    public static function blocks(string $page, string $chapter): array
    {
        $text = (string) file_get_contents(dirname(__DIR__, 3) . "/$page");
        $heading = preg_quote($chapter, '/');
        if (preg_match("/^## $heading\$(.*?)(?=^## |\z)/ms", $text, $match) !== 1) {
            throw new RuntimeException("$page has no chapter '$chapter'");
        }
        preg_match_all('/^```(\w+)\n(.*?)^```$/ms', $match[1], $found, PREG_SET_ORDER);
        $blocks = [];
        foreach ($found as [, $language, $code]) {
            $blocks[$language][] = $code;
        }

        return $blocks;
    }
}
