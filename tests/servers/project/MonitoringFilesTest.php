<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Port;

/** What packaging/ has for Prometheus, Grafana and OpenTelemetry: it asks for figures that there are. */
final class MonitoringFilesTest extends ServerTestCase
{
    private const FOLDER = __DIR__ . '/../../../packaging';

    public function testTheDashboardAndTheAlertsUseFiguresThatThereAre(): void
    {
        $there = $this->samples();
        $expressions = [...self::ofDashboard(), ...self::ofAlerts()];
        self::assertGreaterThan(40, count($expressions));
        foreach ($expressions as $expression) {
            $count = preg_match_all('/\b(sse_\w+)(?:\{([^}]*)\})?/', $expression, $found, PREG_SET_ORDER);
            self::assertGreaterThan(0, $count, $expression);
            foreach ($found as $use) {
                self::assertArrayHasKey($use[1], $there, $expression);
                preg_match_all('/(\w+)=~?"([^"]*)"/', $use[2] ?? '', $labels, PREG_SET_ORDER);
                foreach ($labels as [, $label, $values]) {
                    if ($label !== 'instance') {
                        self::assertSame([], array_diff(explode('|', $values), $there[$use[1]][$label] ?? []), $expression);
                    }
                }
            }
            // Only what grows has a rate.
            preg_match_all('/\b(?:rate|increase)\((sse_\w+)/', $expression, $grown);
            foreach ($grown[1] as $name) {
                self::assertMatchesRegularExpression('/_(total|bucket|sum|count)$/', $name, $expression);
            }
        }
    }

    public function testNoPanelOfTheDashboardCoversAnother(): void
    {
        $taken = $ids = [];
        foreach (self::dashboard()['panels'] as $panel) {
            ['x' => $x, 'y' => $y, 'w' => $width, 'h' => $height] = $panel['gridPos'];
            self::assertLessThanOrEqual(24, $x + $width, $panel['title']);
            for ($row = $y; $row < $y + $height; $row++) {
                for ($column = $x; $column < $x + $width; $column++) {
                    self::assertNull($taken[$row][$column] ?? null, $panel['title']);
                    $taken[$row][$column] = $panel['title'];
                }
            }
            $ids[] = $panel['id'];
        }
        self::assertSame(array_unique($ids), $ids);
    }

    public function testPrometheusTakesTheAlerts(): void
    {
        $this->needs('promtool');
        $folder = self::FOLDER . '/prometheus';
        self::succeed(['promtool', 'check', 'rules', "$folder/alerts.yml"]);
        self::succeed(['promtool', 'test', 'rules', "$folder/alerts_test.yml"]);
    }

    public function testTheCollectorTakesItsConfiguration(): void
    {
        $this->needs('otelcol-contrib');
        self::succeed(['otelcol-contrib', 'validate', '--config', self::FOLDER . '/otel/collector.yml']);
    }

    /** @return array<string, array<string, list<string>>> the values of the labels by their names, by samples */
    private function samples(): array
    {
        $metrics = '';
        // Redis is away, which changes none of the names.
        foreach ([false, true] as $isBus) {
            $programs = $this->commandLine();
            $settings = $isBus
                ? ['sse.bus' => 'redis://127.0.0.1:' . Port::free()]
                : ['sse.history' => "sqlite:{$programs->hubFolder}/h.db", 'sse.processes' => 2];
            $metrics .= $programs->run('echo sse_metrics();', [], $settings + ['sse.udp' => '127.0.0.1:0']) . "\n";
        }
        $samples = [];
        foreach (preg_grep('/^sse_/', explode("\n", $metrics)) as $line) {
            preg_match('/^(\w+)(?:\{(.*)\})? /', $line, $parts);
            $samples[$parts[1]] ??= [];
            preg_match_all('/(\w+)="([^"]*)"/', $parts[2] ?? '', $labels, PREG_SET_ORDER);
            foreach ($labels as [, $label, $value]) {
                $samples[$parts[1]][$label][] = $value;
            }
        }

        return $samples;
    }

    /** @return array<string, mixed> */
    private static function dashboard(): array
    {
        return json_decode((string) file_get_contents(self::FOLDER . '/grafana/php-sse.json'), true, 64, JSON_THROW_ON_ERROR);
    }

    /** @return list<string> */
    private static function ofDashboard(): array
    {
        $dashboard = self::dashboard();
        $expressions = array_column($dashboard['templating']['list'], 'definition');
        foreach ($dashboard['panels'] as $panel) {
            array_push($expressions, ...array_column($panel['targets'] ?? [], 'expr'));
        }

        return $expressions;
    }

    /** @return list<string> */
    private static function ofAlerts(): array
    {
        $alerts = (string) file_get_contents(self::FOLDER . '/prometheus/alerts.yml');
        $count = preg_match_all('/^ +expr: (?:>-\n)?(.*?)\n +(?:for|labels):/ms', $alerts, $found);
        self::assertSame(substr_count($alerts, '- alert: '), $count);

        return $found[1];
    }

    private function needs(string $program): void
    {
        exec("command -v $program", $output, $code);
        if ($code !== 0) {
            self::markTestSkipped("$program: it is not installed");
        }
    }

    /** @param list<string> $command */
    private static function succeed(array $command): void
    {
        exec(implode(' ', array_map('escapeshellarg', $command)) . ' 2>&1', $output, $code);
        self::assertSame(0, $code, implode("\n", $output));
    }
}
