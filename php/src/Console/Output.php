<?php

declare(strict_types=1);

namespace Sse\Console;

use Closure;

/** Where a command writes. What clients and publishers have chosen can't control the terminal. */
final class Output
{
    /**
     * @param Closure(string): void $write What prints a text.
     * @param bool                  $json  Whether the command is to print JSON.
     * @param bool                  $isTerminal Whether somebody looks at it, so that colours and an updated screen make sense.
     */
    public function __construct(
        private readonly Closure $write,
        public readonly bool $json = false,
        public readonly bool $isTerminal = false,
    ) {
    }

    /** A text of the command's own. */
    public function line(string $text = ''): void
    {
        ($this->write)("$text\n");
    }

    /** One line of JSON, in ASCII: nothing in it is a control character. */
    public function json(mixed $value): void
    {
        $this->line(json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE));
    }

    /**
     * @param list<string>       $head
     * @param list<list<string>> $rows
     */
    public function table(array $head, array $rows): void
    {
        $safe = [];
        $widths = [];
        foreach ([$head, ...$rows] as $row) {
            $texts = [];
            foreach ($row as $column => $text) {
                $texts[$column] = self::safe($text);
                $widths[$column] = max($widths[$column] ?? 0, self::width($texts[$column]));
            }
            $safe[] = $texts;
        }
        foreach ($safe as $row) {
            $line = '';
            foreach ($row as $column => $text) {
                $line .= $text . str_repeat(' ', $widths[$column] - self::width($text) + 2);
            }
            $this->line(rtrim($line));
        }
    }

    /** Moves to the beginning of an empty screen, where there is one. */
    public function clear(): void
    {
        if ($this->isTerminal) {
            ($this->write)("\e[H\e[2J");
        }
    }

    /** A text in a colour of the terminal, as 32: green. */
    public function coloured(string $text, int $colour): string
    {
        return $this->isTerminal && getenv('NO_COLOR') === false ? "\e[{$colour}m$text\e[0m" : $text;
    }

    /**
     * Two columns of the command's own texts.
     *
     * @param array<string, string> $rows
     */
    public static function columns(array $rows): string
    {
        $width = $rows === [] ? 0 : max(array_map(self::width(...), array_keys($rows)));
        $text = '';
        foreach ($rows as $name => $meaning) {
            $text .= '  ' . $name . str_repeat(' ', $width - self::width($name) + 2) . $meaning . "\n";
        }

        return $text;
    }

    /** A text of somebody else's without what controls a terminal. */
    public static function safe(string $text): string
    {
        // Not UTF-8: preg_replace() has no result then.
        return preg_replace('/[\p{C}\x{2028}\x{2029}]/u', '?', $text) ?? (string) preg_replace('/[^\x20-\x7e]/', '?', $text);
    }

    private static function width(string $text): int
    {
        return (int) preg_match_all('/\X/u', $text, $letters);
    }
}
