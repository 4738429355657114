<?php

declare(strict_types=1);

namespace Sse\Console;

/** The arguments and options of one call of a command. */
final class Input
{
    /**
     * @param array<string, list<string>> $arguments By the names that the definition gives them.
     * @param array<string, string|bool>  $options   By name; true for one without a value.
     */
    public function __construct(private readonly array $arguments, private readonly array $options)
    {
    }

    /**
     * Reads what follows the command's name. Options may stand anywhere, `--name=value` or `--name value`; after `--` there are
     * none.
     *
     * @param list<string> $words
     *
     * @throws UsageError An option or argument that the command does not know, or lacks.
     */
    public static function parse(Definition $definition, array $words): self
    {
        [$known, $options, $given] = [[], [], []];
        foreach (array_keys($definition->options + Definition::COMMON) as $name) {
            $parts = explode('=', $name, 2);
            $known[$parts[0]] = isset($parts[1]);
        }
        while ($words !== []) {
            $word = array_shift($words);
            if ($word === '--') {
                array_push($given, ...$words);
                break;
            }
            if (!str_starts_with($word, '--')) {
                $given[] = $word;
                continue;
            }
            $parts = explode('=', substr($word, 2), 2);
            [$name, $value] = [$parts[0], $parts[1] ?? null];
            $hasValue = $known[$name] ?? throw new UsageError("sse {$definition->name} has no option --$name");
            if ($hasValue) {
                $options[$name] = $value ?? array_shift($words) ?? throw new UsageError("--$name needs a value");
            } elseif ($value === null) {
                $options[$name] = true;
            } else {
                throw new UsageError("--$name has no value");
            }
        }

        return new self(isset($options['help']) ? [] : self::named($definition, $given), $options);
    }

    /**
     * @param list<string> $given
     *
     * @return array<string, list<string>>
     */
    private static function named(Definition $definition, array $given): array
    {
        $arguments = [];
        foreach ($definition->arguments as $argument) {
            $name = Definition::argumentName($argument);
            $count = Definition::isList($argument) ? count($given) : 1;
            $arguments[$name] = array_slice($given, 0, $count);
            $given = array_slice($given, $count);
            if ($arguments[$name] === [] && Definition::isRequired($argument)) {
                throw new UsageError("$name is missing");
            }
        }
        if ($given !== []) {
            throw new UsageError("'$given[0]' is one argument too many");
        }

        return $arguments;
    }

    public function argument(string $name): ?string
    {
        return $this->arguments[$name][0] ?? null;
    }

    /** @return list<string> */
    public function list(string $name): array
    {
        return $this->arguments[$name] ?? [];
    }

    public function has(string $option): bool
    {
        return isset($this->options[$option]);
    }

    public function option(string $name): ?string
    {
        $value = $this->options[$name] ?? null;

        return is_string($value) ? $value : null;
    }

    /** @throws UsageError It is no number from `$least` on. */
    public function number(string $name, int $least): ?int
    {
        $value = $this->option($name);
        if ($value === null) {
            return null;
        }
        if (preg_match('/^\d{1,9}$/D', $value) !== 1 || (int) $value < $least) {
            throw new UsageError("--$name: '$value' is no whole number from $least on");
        }

        return (int) $value;
    }

    /**
     * A time such as `500ms`, `45s`, `5m` or `45`, which is in seconds.
     *
     * @return int|null In milliseconds.
     *
     * @throws UsageError It is none, or longer than a day.
     */
    public function milliseconds(string $name): ?int
    {
        $value = $this->option($name);
        if ($value === null) {
            return null;
        }
        $units = ['ms' => 1, 's' => 1000, '' => 1000, 'm' => 60_000];
        $isTime = preg_match('/^(\d{1,8})(ms|s|m|)$/D', $value, $parts) === 1;
        $time = $isTime ? (int) $parts[1] * $units[$parts[2]] : -1;
        if ($time < 0 || $time > 86_400_000) {
            throw new UsageError("--$name: '$value' is no time of at most a day, as 500ms, 45s or 5m");
        }

        return $time;
    }
}
