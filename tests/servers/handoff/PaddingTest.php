<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Apache with PHP-FPM as distributions ship it, without flushpackets: it collects output, unless that is filled up. */
final class PaddingTest extends ServerTestCase
{
    private const AS_SHIPPED = ['flushpackets' => 'off'];
    /** No heartbeat helps an event on its way. */
    private const WITHOUT_HEARTBEAT = ['sse.heartbeat' => 3600];
    /** Around the thresholds, and beyond what Apache reads at once. */
    private const LENGTHS = [1, 1000, 4000, 4096, 5000, 8150, 8192, 9000, 20_000, 300_000, 2];

    /** @return array<string, array{array<string, string|int>, int}> */
    public static function transports(): array
    {
        return ['http' => [[], 4096], 'http, FPM by TCP' => [['listen' => 'tcp'], 4096], 'https' => [['tls' => 1], 8192]];
    }

    /**
     * @dataProvider transports
     * @param array<string, string|int> $options
     */
    public function testEachEventArrivesBeforeTheNextIsPublished(array $options, int $threshold): void
    {
        $server = $this->serve('apache-fcgi', self::WITHOUT_HEARTBEAT, $options + self::AS_SHIPPED);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $this->assertEventsArriveOneByOne($server, $stream);
        // The first lines, and each event.
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => count(self::comments($stream)) > count(self::LENGTHS),
            20.0,
            'all comments have come',
        );
        self::assertCount(1 + count(self::LENGTHS), self::comments($stream));
        self::assertLessThanOrEqual($threshold, max(array_map('strlen', self::comments($stream))));
        $ofEvents = array_slice(self::comments($stream), 1);
        self::assertSame(strlen(implode('', $ofEvents)), $server->stats()['padding_bytes']);
        $metrics = $server->client->request('/metrics.php')->body;
        self::assertStringContainsString("padding_bytes_total {$server->stats()['padding_bytes']}", $metrics);
    }

    public function testAStreamInTheWorkerIsFilledUpWithAndWithoutACallback(): void
    {
        $settings = ['sse.detach' => 'off'] + self::WITHOUT_HEARTBEAT;
        $server = $this->serve('apache-fcgi', $settings, self::AS_SHIPPED + ['pm.max_children' => 4]);

        $this->assertEventsArriveOneByOne($server, $server->client->openOne('/stream.php?topics=news'));
        $rendered = $server->client->openOne('/render/echo.php?topic=other');
        $server->publish('other', 'x');
        $server->client->await(
            $rendered,
            static fn (Stream $stream): bool => str_contains($stream->response->body, '"x"'),
            20.0,
            'the callback\'s output has come',
        );
    }

    public function testAClientThatHasLeftIsNoticedAtAHeartbeatAndTheWorkersAreFree(): void
    {
        $server = $this->serve('apache-fcgi', ['sse.heartbeat' => 1], self::AS_SHIPPED);
        $streams = $server->client->openMany(5, '/stream.php?topics=news');

        self::assertSame(200, $server->client->request('/hello.php')->status);
        array_map(static fn (Stream $stream) => $stream->close(), $streams);

        $server->awaitOpenStreams(0, 15.0);
    }

    public function testTheNextHubFillsUpAStreamToo(): void
    {
        $server = $this->serve('apache-fcgi', self::WITHOUT_HEARTBEAT, self::AS_SHIPPED);
        $stream = $server->client->openOne('/stream.php?topics=news');

        self::assertSame(200, $server->client->request('/upgrade.php')->status);

        $this->assertEventsArriveOneByOne($server, $stream);
    }

    public function testThePolyfillFillsUpToo(): void
    {
        $server = $this->serve('apache-fcgi-polyfill', [], self::AS_SHIPPED);

        $this->assertEventsArriveOneByOne($server, $server->client->openOne('/stream.php?topics=news'));
    }

    /** Its frames leave Apache as they come. */
    public function testNothingIsFilledUpOverHttp2(): void
    {
        $options = ['tls' => 1, 'load' => 'http2', 'directives' => 'Protocols h2 http/1.1'];
        $server = $this->serve('apache-fcgi', ['sse.heartbeat' => 1], $options + self::AS_SHIPPED);
        $output = "{$server->folder->path}/log/curl.out";
        $curl = new Process(['curl', '-sikN', '--http2', $server->url('/stream.php?topics=news')], $output, name: 'curl');
        $has = static fn (string $text): bool => str_contains((string) file_get_contents($output), $text);

        try {
            Deadline::until(static fn (): bool => $has("\nid: "), 20.0, 'the stream has begun');
            foreach (['one', 'two', 'three'] as $event) {
                $server->publish('news', $event);
                Deadline::until(static fn (): bool => $has("data: $event\n\n"), 20.0, "$event has come");
            }
            self::assertTrue($has('HTTP/2 200'));
            self::assertSame([0, 1], [$server->stats()['padding_bytes'], $server->openStreams()]);
        } finally {
            $curl->stop();
        }
        $server->awaitOpenStreams(0, 15.0);
    }

    /** @return array<string, array{string, array<string, string|int>, string}> */
    public static function others(): array
    {
        return [
            'another web server' => ['nginx-fpm-unix', [], 'auto'],
            'switched off' => ['nginx-fpm-unix', [], 'off'],
            'flushpackets=on, and the line of the manual' => ['apache-fcgi', ['directives' => 'SetEnv PHP_VALUE "sse.pad=off"'], 'auto'],
        ];
    }

    /**
     * @dataProvider others
     * @param array<string, string|int> $options
     */
    public function testNothingIsFilledUpElsewhere(string $name, array $options, string $pad): void
    {
        $server = $this->serve($name, self::WITHOUT_HEARTBEAT + ['sse.pad' => $pad], $options + ['load' => 'env']);

        $stream = $server->client->openOne('/stream.php?topics=news');
        $this->assertEventsArriveOneByOne($server, $stream);

        self::assertSame(0, $server->stats()['padding_bytes']);
        self::assertStringNotContainsString('::', $stream->response->body);
    }

    public function testANumberOfBytesIsFilledUpToAnywhere(): void
    {
        $server = $this->serve('nginx-fpm-unix', self::WITHOUT_HEARTBEAT + ['sse.pad' => '1K']);

        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'x');
        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => preg_match('/\ndata: x\n\n(:+\n)$/', $stream->response->body, $found) === 1
                && strlen($found[1]) > 900,
            20.0,
            'the event has come, and a comment',
        );
        self::assertLessThan(1024, $server->stats()['padding_bytes']);
    }

    /** @return list<string> */
    private static function comments(Stream $stream): array
    {
        preg_match_all('/^:{60,}\n/m', $stream->response->body, $found);

        return $found[0];
    }

    private function assertEventsArriveOneByOne(Server $server, Stream $stream): void
    {
        foreach (self::LENGTHS as $nth => $length) {
            $server->publish('news', str_repeat('x', $length));
            $server->client->awaitEvents($stream, $nth + 1);
        }
        self::assertSame(self::LENGTHS, array_map('strlen', $stream->data()));
    }
}
