<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Client;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** Events of which only the newest matters, for clients that read slowly. */
final class LatestTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'nginx-fpm-blocking']);
    }

    /**
     * The ticker is more than the buffer takes: without `latest` the stream would end as slow.
     *
     * @dataProvider servers
     */
    public function testATickerIsNeverTooMuchForAClientThatDoesNotRead(string $name): void
    {
        $server = $this->serve($name, ['sse.stream_buffer' => 1_000_000]);
        $slow = new Client($server->url());
        $stream = $slow->openOne('/stream.php?topics=news');
        for ($sent = 0; $sent < 900 && $server->stats()['queued_bytes'] < 600_000; $sent += 5) {
            $server->publish('news', str_repeat('x', 30_000), ['count' => 5]);
        }
        self::assertLessThan(900, $sent, 'the client is behind');

        $server->publish('news', str_repeat('t', 1000), ['count' => 2000, 'latest' => '1', 'event' => 'tick']);
        $server->publish('news', 'all others come');

        self::assertSame(1, $server->openStreams());
        $isLast = static fn (Stream $stream): bool => ($stream->data()[count($stream->data()) - 1] ?? '') === 'all others come';
        $slow->await($stream, $isLast, 20.0, 'the client has caught up');
        $events = $stream->parser->events;
        $ticks = array_values(array_filter($events, static fn ($event): bool => $event->name === 'tick'));
        self::assertCount($sent, array_filter($events, static fn ($event): bool => strlen($event->data) > 30_000));
        self::assertSame(str_repeat('t', 1000) . ' 2000', $ticks[count($ticks) - 1]->data);
        self::assertSame(2000 - count($ticks), $server->stats()['superseded']);
        self::assertLessThan(2000, count($ticks));
        self::assertSame(0, $server->stats()['streams']['closed']['slow']);
    }
}
