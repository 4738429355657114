<?php

declare(strict_types=1);

namespace Sse\Console;

/** What a command is called, does and takes: the source of its help, of its parser, and of the frameworks' commands. */
final class Definition
{
    /** The options that every command has. */
    public const COMMON = ['json' => 'print JSON', 'help' => 'print this'];

    /**
     * @param string                $name      What follows `sse` on the command line.
     * @param string                $summary   What it does, in a line.
     * @param list<string>          $arguments Their names in order: `TOPIC`, `[DATA]` may be missing, `TOPIC…` and `[TOPIC…]` take
     *                                         the rest.
     * @param array<string, string> $options   By name without dashes, what it means; `user=NAME` has a value.
     * @param string                $help      More lines, for `--help`.
     */
    public function __construct(
        public readonly string $name,
        public readonly string $summary,
        public readonly array $arguments = [],
        public readonly array $options = [],
        public readonly string $help = '',
    ) {
    }

    public function usage(): string
    {
        $text = 'usage: sse ' . implode(' ', [$this->name, ...$this->arguments]) . " [OPTION …]\n\n" . ucfirst($this->summary) . ".\n";
        $text .= $this->help === '' ? '' : "\n{$this->help}\n";
        $rows = [];
        foreach ($this->options + self::COMMON as $name => $meaning) {
            $rows["--$name"] = $meaning;
        }

        return "$text\n" . Output::columns($rows);
    }

    /** The name of an argument, without brackets and the sign of a list. */
    public static function argumentName(string $argument): string
    {
        return trim($argument, '[]…');
    }

    public static function isRequired(string $argument): bool
    {
        return !str_starts_with($argument, '[');
    }

    public static function isList(string $argument): bool
    {
        return str_contains($argument, '…');
    }
}
