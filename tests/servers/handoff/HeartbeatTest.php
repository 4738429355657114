<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** Comments keep a silent stream alive, through every server's buffers. */
final class HeartbeatTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::HAND_OFF, ...Catalogue::BLOCKING, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider servers */
    public function testASilentStreamGetsComments(string $name): void
    {
        $server = $this->serve($name, ['sse.heartbeat' => 1]);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $server->client->await(
            $stream,
            static fn (Stream $stream): bool => $stream->parser->comments >= 2,
            10.0,
            'two comments have come',
        );

        self::assertStringStartsWith("retry: 2000\n\n:\n\n:\n\n", self::withoutCursor($stream->response->body));
    }

    public function testAStreamMayAskForItsOwnHeartbeat(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.heartbeat' => 0]);
        $silent = $server->client->openOne('/stream.php?topics=news');
        $beating = $server->client->openOne('/stream.php?topics=news&heartbeat=1');

        $server->client->await(
            $beating,
            static fn (Stream $stream): bool => $stream->parser->comments >= 2,
            10.0,
            'two comments have come',
        );

        self::assertSame(0, $silent->parser->comments);
    }
}
