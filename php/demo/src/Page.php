<?php

declare(strict_types=1);

namespace Demo;

/** The frame of every page: headers, head, navigation. */
final class Page
{
    private const LINKS = ['.' => 'Chat', 'table.php' => 'Live table', 'job.php' => 'A job', 'hub.php' => 'The hub'];

    /** Begins a page with the navigation. */
    public static function begin(string $name, string $title, string $link): void
    {
        self::head($name, $title, 'min-h-dvh bg-base-200');
        echo '<a class="skip btn btn-primary btn-sm" href="#main">To the content</a>',
            '<header class="border-b border-base-300 bg-base-100"><div class="page flex flex-wrap items-center gap-x-3 gap-y-1 py-2 sm:gap-x-6">',
            '<p class="flex items-center gap-2 font-semibold"><span class="logo" aria-hidden="true"></span><span class="max-sm:sr-only">php-sse</span></p>',
            '<nav class="flex gap-1" aria-label="Pages">';
        foreach (self::LINKS as $target => $label) {
            $current = $target === $link ? ' aria-current="page"' : '';
            echo "<a class=\"nav\" href=\"$target\"$current>$label</a>";
        }
        echo '</nav><button type="button" id="theme" class="btn btn-ghost btn-sm ml-auto"></button></div></header>',
            '<main id="main" class="page py-5" tabindex="-1">';
    }

    /** Begins a page that is shown within another one. */
    public static function beginPane(string $name, string $title, string $classes = ''): void
    {
        self::head($name, $title, 'h-dvh bg-base-200');
        echo "<main id=\"main\" class=\"flex h-full min-h-0 flex-col bg-base-100 $classes\">";
    }

    public static function end(): void
    {
        echo "</main></body></html>\n";
    }

    public static function text(string $text): string
    {
        return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5);
    }

    private static function head(string $name, string $title, string $classes): void
    {
        header('Content-Type: text/html; charset=utf-8');
        header('Cache-Control: no-store');
        // Should text ever become markup by mistake, it still can't run.
        header("Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
            . "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'");
        header('X-Content-Type-Options: nosniff');
        header('Referrer-Policy: same-origin');
        // With these two, browsers give their clock in steps of 5 instead of 100 microseconds.
        header('Cross-Origin-Opener-Policy: same-origin');
        header('Cross-Origin-Embedder-Policy: require-corp');
        $title = self::text($title);
        echo '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>$title</title>", '<link rel="icon" href="assets/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="assets/app.css">',
            '<script src="assets/theme.js"></script><script type="module" src="assets/app.js"></script></head>',
            "<body class=\"$classes\" data-page=\"$name\">";
    }
}
