<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** The figures, as a scraper reads them. */
final class MetricsTest extends ServerTestCase
{
    /** Reads OpenMetrics by the reference parser, which refuses what breaks the format, and prints the samples as JSON. */
    private const PARSER = <<<'PY'
        import json, sys
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
        print(json.dumps([[f.name, f.type, f.unit, f.documentation,
            [[s.name, s.labels, s.value] for s in f.samples]] for f in families(sys.stdin.read())]))
        PY;

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /** @dataProvider servers */
    public function testAScraperReadsThem(string $name): void
    {
        $server = $this->serve($name, ['sse.udp' => '127.0.0.1:0']);
        $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'four', ['count' => 3]);
        $before = $server->stats();

        $response = $server->client->request('/metrics.php');

        $type = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
        self::assertSame($type, $response->headers['content-type']);
        $samples = [];
        foreach (self::parse($response->body) as [$family, $kind, $unit, $help, $found]) {
            self::assertStringStartsWith('sse_', $family);
            self::assertNotSame('', $help, $family);
            self::assertContains($kind, ['counter', 'gauge', 'info', 'histogram'], $family);
            self::assertSame(preg_match('/_(bytes|seconds)$/', $family, $match) ? $match[1] : '', $unit, $family);
            foreach ($found as [$sample, $labels, $value]) {
                $samples[$sample . ($labels === [] ? '' : json_encode($labels))] = $value;
            }
        }
        self::assertSame(1.0, (float) $samples['sse_build_info{"version":"' . $before['version'] . '"}']);
        self::assertSame(1.0, (float) $samples['sse_streams_open']);
        self::assertSame(3.0, (float) $samples['sse_events_published_total']);
        self::assertSame((float) $before['published_bytes'], (float) $samples['sse_published_bytes_total']);
        self::assertSame(0.0, (float) $samples['sse_streams_ended_total{"reason":"slow"}']);
        self::assertSame(0.0, (float) $samples['sse_render_duration_seconds_bucket{"le":"+Inf"}']);
    }

    public function testRendersAreInTheHistogram(): void
    {
        $server = $this->serve('nginx-fpm-unix');
        $stream = $server->client->openOne('/commit-stream.php?render=1');
        for ($i = 1; $i <= 3; $i++) {
            $server->publish('changed', '');
            $server->client->awaitEvents($stream, $i + 1);
        }

        // A run is counted when its request is over, a moment after its output came.
        Deadline::until(static fn (): bool => $server->stats()['renders']['running'] === 0, 10.0, 'no run is under way');
        $samples = [];
        foreach (self::parse($server->client->request('/metrics.php')->body) as $family) {
            $samples += array_column($family[4], 2, 0);
        }
        $done = $server->stats()['renders'];
        self::assertSame((float) $done['done'], (float) $samples['sse_render_duration_seconds_count']);
        self::assertGreaterThanOrEqual(3, $done['done']);
        self::assertSame($done['done'], array_sum($done['seconds']['buckets']));
        $bounds = array_map('strval', array_keys($done['seconds']['buckets']));
        self::assertSame(['0.0005', '0.001', '0.0025'], array_slice($bounds, 0, 3));
        self::assertSame(['2.5', '10', 'inf'], array_slice($bounds, -3));
        self::assertGreaterThan(0, $samples['sse_render_duration_seconds_sum']);
    }

    /** @return list<array{string, string, string, string, list<array{string, array<string, string>, float}>}> */
    private static function parse(string $text): array
    {
        $process = proc_open(['/usr/bin/python3', '-c', self::PARSER], [['pipe', 'r'], ['pipe', 'w']], $pipes);
        fwrite($pipes[0], $text);
        fclose($pipes[0]);
        $json = (string) stream_get_contents($pipes[1]);
        self::assertSame(0, proc_close($process), $text);

        return json_decode($json, true, 512, JSON_THROW_ON_ERROR);
    }
}
