<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;

/** What the project is for: many streams on two workers, and the site goes on. */
final class StreamingTest extends ServerTestCase
{
    private const STREAMS = 200;

    /** @return array<string, array{string}> */
    public static function handOffServers(): array
    {
        return Catalogue::each(Catalogue::HAND_OFF);
    }

    /** @dataProvider handOffServers */
    public function testManyMoreStreamsThanWorkersAreOpenAtOnce(string $name): void
    {
        $server = $this->serve($name);

        $streams = $server->client->openMany(self::STREAMS, '/stream.php?topics=news');

        self::assertSame(self::STREAMS, $server->openStreams());
        foreach ($streams as $stream) {
            self::assertTrue($stream->isOpen(), $stream->summary());
        }
        self::assertGreaterThan(count($server->workers()), self::STREAMS);
    }

    /** @dataProvider handOffServers */
    public function testAnOrdinaryRequestIsAnsweredWhileStreamsAreOpen(string $name): void
    {
        $server = $this->serve($name);
        $server->client->openMany(self::STREAMS, '/stream.php?topics=news');

        $response = $server->client->request('/hello.php');

        self::assertSame(200, $response->status);
        self::assertStringStartsWith('hello from ', $response->body);
        self::assertContains((int) substr($response->body, 11), $server->workers());
    }

    /** @dataProvider handOffServers */
    public function testAThousandEventsReachEveryStreamCompleteAndInOrder(string $name): void
    {
        $server = $this->serve($name);
        $streams = $server->client->openMany(self::STREAMS, '/stream.php?topics=news');

        $ids = $server->publish('news', 'event', ['count' => 1000]);

        $server->client->awaitAll(
            $streams,
            static fn (Stream $stream): bool => count($stream->parser->events) >= 1000,
            60.0,
            '1,000 events have come on each stream',
        );
        $expected = array_map(static fn (int $number): string => "event $number", range(1, 1000));
        foreach ($streams as $number => $stream) {
            self::assertSame($expected, $stream->data(), "data of stream $number");
            self::assertSame($ids, array_column($stream->parser->events, 'id'), "ids of stream $number");
        }
    }

    /** @dataProvider handOffServers */
    public function testAnotherRequestOfTheSameSessionIsNotBlocked(string $name): void
    {
        $server = $this->serve($name);
        $cookie = ['Cookie' => 'PHPSESSID=0123456789abcdef0123456789'];
        $stream = $server->client->openOne('/stream.php?topics=news&before=session', $cookie);

        $response = $server->client->request('/session.php', $cookie);

        self::assertSame('{"streams":1,"visits":1}', $response->body);
        self::assertTrue($stream->isOpen(), $stream->summary());
    }

    /** @dataProvider handOffServers */
    public function testAClientThatLeavesIsGoneFromTheCount(string $name): void
    {
        // These two keep the connection to FPM until they cannot write to the client: the next heartbeat tells them.
        $late = in_array($name, ['apache-fcgi', 'caddy-fpm'], true);
        $server = $this->serve($name, ['sse.heartbeat' => $late ? 1 : 0]);
        $streams = $server->client->openMany(3, '/stream.php?topics=news');
        self::assertSame(3, $server->openStreams());

        $streams[1]->close();

        $server->awaitOpenStreams(2);
        $server->publish('news', 'still here');
        self::assertSame(['still here'], $server->client->awaitEvents($streams[0], 1));
        self::assertSame(['still here'], $server->client->awaitEvents($streams[2], 1));
    }

    /** @return array<string, array{string}> */
    public static function allServers(): array
    {
        return Catalogue::each([...Catalogue::HAND_OFF, ...Catalogue::POLYFILL]);
    }

    /** @dataProvider allServers */
    public function testAStreamGetsOnlyItsTopics(string $name): void
    {
        $server = $this->serve($name);
        $orders = $server->client->openOne('/stream.php?topics=orders.*.status,chat.**');
        $other = $server->client->openOne('/stream.php?topics=other');

        $server->publish('orders.42', 'not wanted');
        $server->publish('orders.42.status', 'paid');
        $server->publish('chat.room.7', 'hello');
        $server->publish('other', 'last');

        self::assertSame(['last'], $server->client->awaitEvents($other, 1));
        self::assertSame(['paid', 'hello'], $server->client->awaitEvents($orders, 2));
    }
}
