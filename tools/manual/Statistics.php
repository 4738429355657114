<?php

declare(strict_types=1);

/** The table of figures in hub/src/stats/openmetrics.rs, and the reasons that some of them are counted by. */
final class Statistics
{
    private const SUFFIX = ['Counter' => '_total', 'Counters' => '_total', 'Label' => '_info'];
    private const NO_METRIC = 'Nothing';

    /**
     * @param list<array{path: string, kind: string, label: string, metric: string, text: string}> $rows
     * @param array<string, array<string, string>> $reasons by the path of the figure that is counted by them
     */
    private function __construct(private readonly array $rows, private readonly array $reasons)
    {
    }

    public static function read(string $metrics, string $ended, string $refused): self
    {
        $pattern = '/^ *\("(\/[^"]*)", (?:MetricKind::)?(\w+)(?:\("(\w+)"\))?, "(\w*)", (?:None|Some\(Unit::(\w+)\)), "([^"]*)"\),$/m';
        preg_match_all($pattern, (string) file_get_contents($metrics), $found, PREG_SET_ORDER);
        $rows = [];
        foreach ($found as [, $path, $kind, $label, $name, $unit, $text]) {
            $metric = implode('_', array_filter(['sse', $name, strtolower($unit)])) . (self::SUFFIX[$kind] ?? '');
            $rows[] = ['path' => $path, 'kind' => $kind, 'label' => $label, 'metric' => $metric, 'text' => $text];
        }

        return new self($rows, ['/streams/closed' => self::ended($ended), '/refused' => self::refused($refused)]);
    }

    /** The variants of `enum EndReason`, by name, with their comments. @return array<string, string> */
    private static function ended(string $file): array
    {
        $code = (string) file_get_contents($file);
        $enum = preg_match('/enum EndReason \{(.*?)^\}/ms', $code, $match) ? $match[1] : '';
        preg_match_all('/((?: *\/\/\/ .*\n)+) *(\w+),/', $enum, $found, PREG_SET_ORDER);
        $reasons = [];
        foreach ($found as [, $comment, $variant]) {
            $reasons[strtolower($variant)] = self::joined($comment);
        }

        return $reasons;
    }

    /** The counters `refused_…`, with their comments. @return array<string, string> */
    private static function refused(string $file): array
    {
        $source = (string) file_get_contents($file);
        preg_match_all('/((?: *\/\/\/ .*\n)+) *pub\(crate\) refused_(\w+): u64,/', $source, $found, PREG_SET_ORDER);
        $reasons = [];
        foreach ($found as [, $comment, $name]) {
            $reasons[$name] = self::joined($comment);
        }

        return $reasons;
    }

    private static function joined(string $comment): string
    {
        return trim((string) preg_replace('/\s*\/\/\/ */', ' ', $comment));
    }

    /** @return list<string> their names in sse_metrics() */
    public function metrics(): array
    {
        return array_column($this->rows, 'metric');
    }

    public function page(): string
    {
        $page = <<<'MD'
            # Statistics

            <!-- Written by tools/docs from hub/src/stats/openmetrics.rs. Change the texts there, and run tools/docs. -->

            `sse_stats()` returns these figures as an array: what there is now, and counters since the hub started.
            `/streams/open` is `sse_stats()['streams']['open']`. `sse_metrics()` gives the same as OpenMetrics text, by the names
            in the second column; see [Monitoring](../operations/monitoring.md). More figures may be added; those that are there
            keep their names and meanings. A counter goes on after an [upgrade](../operations/update.md) of the hub.

            Figures under `/history/file`, `/bus` and `/processes` are there only with `sse.history=sqlite:…`, with `sse.bus`, and
            with several processes that hold streams. Where a metric is 0 or 1, the array has the text (a reason, an address) or
            null.

            | in `sse_stats()` | in `sse_metrics()` | what it is |
            |---|---|---|

            MD;
        foreach ($this->rows as ['path' => $path, 'kind' => $kind, 'label' => $label, 'metric' => $metric, 'text' => $text]) {
            $labels = $label === '' ? '' : "{{$label}=…}";
            $shown = $kind === self::NO_METRIC ? '' : "`$metric$labels`" . ($kind === 'Flag' ? ', 0 or 1' : '');
            $page .= "| `$path` | $shown | $text |\n";
        }
        $page .= "\n## Why streams ended\n\n`/streams/closed`, `sse_streams_ended_total{reason=…}`, and the log:\n\n"
            . "| reason | |\n|---|---|\n";
        foreach ($this->reasons['/streams/closed'] as $reason => $text) {
            $page .= "| `$reason` | $text |\n";
        }
        $page .= "\n## Why streams and processes were refused\n\n`/refused`, `sse_refused_total{reason=…}`:\n\n| reason | |\n|---|---|\n";
        foreach ($this->reasons['/refused'] as $reason => $text) {
            $page .= "| `$reason` | $text |\n";
        }

        return $page;
    }

    /**
     * How the table differs from what a running hub says, and what the stubs leave out.
     *
     * @param array<string, mixed> $stats of sse_stats()
     * @return list<string>
     */
    public function differences(array $stats, string $metrics, string $stubs): array
    {
        $problems = [];
        $paths = array_column($this->rows, 'path');
        foreach (array_keys(array_column($this->rows, 'text', 'path'), '', true) as $path) {
            $problems[] = "$path has no text in the table of hub/src/stats/openmetrics.rs; say there what it is";
        }
        foreach (self::paths($stats, '', $paths) as $path) {
            if (!in_array($path, $paths, true)) {
                $problems[] = "sse_stats() has $path, which is not in the table of hub/src/stats/openmetrics.rs";
            }
        }
        foreach ($this->reasons as $path => $reasons) {
            $counted = $stats;
            foreach (explode('/', substr($path, 1)) as $key) {
                $counted = $counted[$key] ?? [];
            }
            foreach (array_diff(array_keys($counted), array_keys($reasons)) as $reason) {
                $problems[] = "sse_stats() counts $path by '$reason', which has no comment that says what it is";
            }
        }
        preg_match_all('/^# HELP (\w+) (.+?)\.?$/m', $metrics, $helps, PREG_SET_ORDER);
        $known = array_column($this->rows, 'text', 'metric');
        foreach ($helps as [, $name, $text]) {
            if (!in_array($text, [$known[$name] ?? null, $known["{$name}_total"] ?? null, $known["{$name}_info"] ?? null], true)) {
                $problems[] = "sse_metrics() says of $name: '$text', and the table of hub/src/stats/openmetrics.rs doesn't; run make build";
            }
        }
        $docblock = preg_match('/The hub\'s figures: what there is now.*?\*\/\s*function sse_stats/s', $stubs, $match) ? $match[0] : '';
        foreach ($paths as $path) {
            $key = basename($path);
            if (!str_contains($docblock, "`$key`")) {
                $problems[] = "stubs/sse.stub.php leaves $path out where it says what sse_stats() returns";
            }
        }
        $type = preg_match('/@return (.*?)\n \* \}/s', $docblock, $match) ? str_replace("\n *", '', $match[1]) . '}' : '';
        $typed = self::typed(preg_replace('/\s+/', ' ', $type), '', $paths);
        foreach (array_diff($paths, $typed) as $path) {
            $problems[] = "stubs/sse.stub.php leaves $path out of the array{…} that sse_stats() returns";
        }
        foreach (array_diff($typed, $paths) as $path) {
            $problems[] = "stubs/sse.stub.php has $path in the array{…} that sse_stats() returns, and the hub has not";
        }

        return $problems;
    }

    /**
     * The paths in a type such as `array{a: int, b?: array{c: list<int>}, ...}`: /a and /b/c. What the table has as a whole is
     * not taken apart.
     *
     * @param list<string> $whole
     * @return list<string>
     */
    public static function typed(string $type, string $path, array $whole): array
    {
        if (!str_starts_with($type, 'array{') || in_array($path, $whole, true)) {
            return [$path];
        }
        $paths = [];
        $entry = '/(\w+)\??: ((?:[^,{}<>]++|(\{(?:[^{}]++|(?3))*\})|(<(?:[^<>]++|(?4))*>))+)/';
        preg_match_all($entry, substr($type, strlen('array{'), -1), $entries, PREG_SET_ORDER);
        foreach ($entries as [, $key, $inner]) {
            array_push($paths, ...self::typed(trim($inner), "$path/$key", $whole));
        }

        return $paths;
    }

    /**
     * The paths of all figures. What the table has as a whole is not taken apart.
     *
     * @param array<array-key, mixed> $part
     * @param list<string> $whole
     * @return list<string>
     */
    private static function paths(array $part, string $path, array $whole): array
    {
        $paths = [];
        foreach ($part as $key => $value) {
            $here = "$path/$key";
            $inner = is_array($value) && !in_array($here, $whole, true);
            array_push($paths, ...($inner ? self::paths($value, $here, $whole) : [$here]));
        }

        return $paths;
    }
}
