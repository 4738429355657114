<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** Mercure's own conformance tests, of both versions, in Chromium, against the endpoint. */
final class MercureConformanceTest extends MercureTestCase
{
    /** The endpoint of version 1.0 that the tokens of those tests are for. */
    private const STANDARD = 'version: new Sse\Mercure\Standard("https://localhost/.well-known/mercure", "https://localhost")';

    public function testItsOwnSuitesPass(): void
    {
        $suites = explode(':', (string) getenv('MERCURE_CONFORMANCE'));
        foreach ($suites as $suite) {
            if (!is_file("$suite/node_modules/.bin/playwright")) {
                self::markTestSkipped('mercure-conformance: MERCURE_CONFORMANCE names no installed folders conformance-tests');
            }
            $tests = (string) file_get_contents("$suite/mercure.spec.ts");
            $this->passes($suite, str_contains($tests, 'match_urlpattern') ? self::STANDARD : '');
        }
    }

    private function passes(string $suite, string $arguments): void
    {
        $server = $this->serveMercure('nginx-fpm-unix', options: [
            'directive' => 'rewrite ^/[.]well-known/mercure$ /sse/mercure.php break; rewrite ^/$ /hello.php break;',
        ], arguments: $arguments);
        $config = $server->folder->file('playwright.config.mjs', 'export default ' . json_encode([
            'testDir' => realpath($suite),
            'timeout' => 120_000,
            'workers' => 1,
            'retries' => 0,
            'reporter' => 'json',
            'outputDir' => "{$server->folder->path}/results",
            'use' => ['baseURL' => $server->url(), 'launchOptions' => [
                'executablePath' => '/usr/bin/chromium',
                'args' => ['--no-sandbox'],
            ]],
        ], JSON_THROW_ON_ERROR));

        $process = proc_open(
            ['node_modules/.bin/playwright', 'test', '--config', $config],
            [1 => ['pipe', 'w'], 2 => ['file', "{$server->folder->path}/log/playwright.log", 'w']],
            $pipes,
            $suite,
            ['CUSTOM_ID' => '1'] + getenv(),
        );
        self::assertIsResource($process);
        $output = (string) stream_get_contents($pipes[1]);
        $status = proc_close($process);

        $stats = json_decode($output, true)['stats'] ?? null;
        self::assertNotNull($stats, $output);
        self::assertSame([0, 0, 0, 0], [$status, $stats['unexpected'], $stats['flaky'], $stats['skipped']], $output);
        self::assertGreaterThanOrEqual(10, $stats['expected']);
    }
}
