<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Catalogue;

/** A hub that is full says so to the client, in HTTP's own words, and to the administrator in its log. */
final class LimitsTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'nginx-fpm-blocking']);
    }

    /** @dataProvider servers */
    public function testAStreamTooManyIsAnswered503AndOthersLiveOn(string $name): void
    {
        $server = $this->serve($name, ['sse.max_streams' => 3], ['pm.max_children' => 5]);
        $streams = $server->client->openMany(3, '/stream.php?topics=news');

        $refused = $server->client->request('/stream.php?topics=news');

        $this->assertRefused($refused);
        $server->awaitLog('sse_stream returned false');
        $server->publish('news', 'still here');
        foreach ($streams as $stream) {
            self::assertSame(['still here'], $server->client->awaitEvents($stream, 1));
        }
        self::assertStringContainsString('max_streams', $server->logs());
    }

    /** @dataProvider servers */
    public function testAPlaceThatBecomesFreeIsTaken(string $name): void
    {
        $server = $this->serve($name, ['sse.max_streams' => 2], ['pm.max_children' => 4]);
        $streams = $server->client->openMany(2, '/stream.php?topics=news');
        $streams[0]->close();
        $server->awaitOpenStreams(1);

        $server->client->openOne('/stream.php?topics=news');

        $this->assertRefused($server->client->request('/stream.php?topics=news'));
    }

    /** @dataProvider servers */
    public function testWhatOneAddressWatchesIsBounded(string $name): void
    {
        $server = $this->serve($name, ['sse.topic_bytes' => '64K']);
        $many = static fn (string $topic): string => implode(',', array_map(static fn (int $i): string => "$topic.$i", range(1, 30)));
        $first = $server->client->openOne("/stream.php?topics={$many('a')}");

        $refused = $server->client->request("/stream.php?topics={$many('b')}");
        self::assertSame(429, $refused->status, $refused->summary());

        self::assertSame(1, $server->stats()['refused']['topic_bytes']);
        self::assertStringContainsString('127.0.0.1 takes the eighth of sse.topic_bytes (8192 of its bytes)', $server->logs());
        $first->close();
        $server->awaitOpenStreams(0);
        $server->client->openOne("/stream.php?topics={$many('b')}");
    }

    public function testAHubWithoutDescriptorsLeftAnswers503AndGoesOn(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.processes' => 1], ['nofile' => 256]);
        $opened = [];
        $refused = null;
        while ($refused === null && count($opened) < 400) {
            $stream = $server->client->open('/stream.php?topics=news');
            $server->client->await(
                $stream,
                static fn (): bool => $stream->isOpen() || $stream->ended,
                10.0,
                'the request is answered in some way',
            );
            if ($stream->isOpen()) {
                $opened[] = $stream;
            } else {
                $refused = $stream->response;
            }
        }

        self::assertNotNull($refused, count($opened) . ' streams were opened with 256 descriptors');
        $this->assertRefused($refused);
        self::assertGreaterThan(100, count($opened));
        $server->publish('news', 'still here');
        foreach ($opened as $stream) {
            self::assertSame(['still here'], $server->client->awaitEvents($stream, 1));
        }
        self::assertMatchesRegularExpression('/WARN|ERROR/', $this->hubLog($server->hubFolder));
    }

    public function testASlowClientIsClosedAndTheOthersAreNot(): void
    {
        // Room for what is published at a time, so that only who takes nothing at all runs out of it.
        $server = $this->serve('nginx-fpm-unix', ['sse.stream_buffer' => 1_000_000]);
        $reading = $server->client->openOne('/stream.php?topics=news');
        $stuck = stream_socket_client("tcp://127.0.0.1:{$server->port}");
        fwrite($stuck, "GET /stream.php?topics=news HTTP/1.1\r\nHost: a\r\n\r\n");
        $server->awaitOpenStreams(2);

        // More than all buffers between here and the hub hold, in events that the reading one takes as they come.
        $sent = 0;
        while ($server->openStreams() === 2 && $sent < 1000) {
            $server->publish('news', str_repeat('x', 30_000), ['count' => 10]);
            $sent += 10;
            $server->client->awaitEvents($reading, $sent);
        }

        self::assertSame(1, $server->openStreams(), "after $sent events of 30,000 bytes");
        self::assertFalse($reading->ended);
        fclose($stuck);
    }

    private function assertRefused(Response $response): void
    {
        self::assertSame(503, $response->status, $response->summary());
        self::assertMatchesRegularExpression('/^[1-9]\d*$/', $response->headers['retry-after'] ?? '(no Retry-After)');
        self::assertStringNotContainsString('event-stream', $response->headers['content-type'] ?? '');
    }

    private function hubLog(string $folder): string
    {
        return (string) @file_get_contents("$folder/hub.sock.log");
    }
}
